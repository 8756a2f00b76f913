-- Why durable functions are composed on text, and not on a string type of their own: what a type would refuse that people write.
\pset format unaligned
\pset tuples_only on
\set SHOW_CONTEXT never
\set VERBOSITY terse
-- Steps come from variables, columns and format() as well as from literals.
do $$
declare body text := 'select 1';
begin
    raise notice '%', @> (body ~> df.sleep(60));
    raise notice '%', ('SELECT true' ?> body) !> 'SELECT 0';
    for i in 2..3 loop
        body := body ~> format('select %s', i);
    end loop;
    raise notice '%', body;
end
$$;
create temp table kept (step text, name varchar(20));
insert into kept values ('a' ~> 'b', 'x');
select step |=> name, step & 'c', step::varchar | 'c' from kept;
select df.all(array_agg(format('select %s', n))) from generate_series(1, 2) n;
select df.all(array['a', 'b' ~> 'c']), df.seq(step, 'c'), length(step ~> 'c'), (step ~> 'c')::jsonb->>'node_type' from kept;
prepare composed(text) as select $1 ~> 'b';
execute composed('a');
deallocate composed;
-- The type, with operators of its own: text becomes one by assignment only.
create schema try;
create type try.step;
set client_min_messages = error;
create function try.step_in(cstring) returns try.step language internal immutable strict as 'textin';
create function try.step_out(try.step) returns cstring language internal immutable strict as 'textout';
reset client_min_messages;
create type try.step (input = try.step_in, output = try.step_out, like = text, category = 'S');
create cast (try.step as text) without function as implicit;
create cast (text as try.step) without function as assignment;
create function try.seq(try.step, try.step) returns try.step language sql immutable as 'select df.seq($1::text, $2::text)::try.step';
create function try.race(try.step, try.step) returns try.step language sql immutable as 'select df.race($1::text, $2::text)::try.step';
create operator try.~> (function = try.seq, leftarg = try.step, rightarg = try.step);
create operator try.| (function = try.race, leftarg = try.step, rightarg = try.step);
-- Literals go as before, and what a function answered is no step.
select 'a' operator(try.~>) 'b' operator(try.~>) 'c';
select df.getvar('a') operator(try.~>) 'b';
-- But these work today.
do $$
declare body text := 'select 1';
begin
    raise notice '%', body operator(try.~>) (df.sleep(60)::try.step);
end
$$;
select step operator(try.~>) 'c' from kept;
select format('select %s', 1) operator(try.~>) 'b';
prepare composed(text) as select $1 operator(try.~>) 'b';
-- With an implicit cast they do again, and then nothing is caught, and text | text means the race that it was to be kept from.
drop cast (text as try.step);
create cast (text as try.step) without function as implicit;
select step operator(try.~>) 'c' from kept;
select df.duroxide_schema() operator(try.~>) 'c';
select 'a'::text operator(try.|) 'b'::text;
-- The answer of df.setvar() and its kin is caught without a type, by its value.
select df.setvar('a', 'b') ~> 'c';
select df.clearvars();
set client_min_messages = warning;
drop schema try cascade;
