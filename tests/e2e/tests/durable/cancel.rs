//! Cancelling, at whatever moment.

use crate::stage::Stage;

/// An executor may be about to take a step, to run it, or to take it again when the request arrives. None is lost.
#[test]
fn a_request_to_cancel_is_never_lost() {
    let stage = Stage::start();
    stage.run(
        "alice",
        "do $$
         declare id text;
         begin
             for n in 1..100 loop
                 id := df.start('select pg_sleep(600)', 'long');
                 commit;
                 -- Spread over the time in which it is taken and begins.
                 perform pg_sleep(n * 0.0002);
                 perform df.cancel(id);
                 commit;
             end loop;
         end $$",
    );
    stage.until(
        "all are cancelled",
        "select count(*) filter (where status = 'cancelled') from postern.instance where label = 'long'",
        "100",
    );
}
