//! A standby takes over.

use postern_cluster::{Cluster, Mode};

use crate::faults::{chains, check};
use crate::stage::Stage;

/// What the primary had not sent when it was killed is lost with its effect: on the standby, what a step did and that it did are
/// one record of the log. So each step counts once there too, and every instance that arrived goes on.
#[test]
fn work_goes_on_where_a_standby_is_promoted() {
    let primary = Stage::with(Cluster::builder().setting("fsync", "on").setting("hot_standby", "on"));
    let standby = Stage { cluster: primary.cluster.standby().unwrap() };
    let (count, steps) = (20, 200);
    chains(&primary, count, steps);
    let waiting = primary.start_as_alice("df.wait_for_signal('go') ~> 'select 7 as n'");
    let sleeping = primary.start_as_alice("df.sleep(interval '3 seconds') ~> 'select 8 as n'");
    standby.until(
        "all have arrived, and some steps have run",
        &format!(
            "select (select count(*) from postern.instance) = {} and (select count(*) from app.effects) > {}",
            count + 2,
            count * steps / 20
        ),
        "t",
    );
    // A standby only follows.
    assert_eq!(
        standby.admin("select count(*) from pg_stat_activity where backend_type like 'postern %'"),
        "0"
    );
    primary.cluster.stop(Mode::Kill).unwrap();
    let before: usize = standby.admin("select count(*) from app.effects").parse().unwrap();
    assert!(before < count * steps, "nothing was left to do: {before}");

    standby.admin("select pg_promote()");
    standby.admin(&format!("select df.signal('{waiting}', 'go')"));
    check(&standby, count, steps);
    for id in [&waiting, &sleeping] {
        let status = format!("select status from postern.instance where id = '{id}'");
        standby.until("what waited goes on", &status, "completed");
    }
    assert_eq!(standby.admin("select count(*) from postern.strand"), "0");
}
