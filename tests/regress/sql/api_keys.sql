-- API keys are shown once and kept as hashes.
\pset format unaligned
\pset tuples_only on
create role key_svc nologin;
create role key_admin login in role postern_admin;
select postern.create_api_key('key_svc', 'job');
select postern.admit('key_svc');
set session authorization key_admin;
select postern.create_api_key('key_svc', 'job', '{"tenant": "acme"}', null, 'nightly job') as key \gset
select postern.create_api_key('key_svc', 'old', '{}', now() - interval '1 day') as old \gset
select postern.create_api_key('key_svc', 'gone') as gone \gset
select postern.create_api_key('key_svc', 'job', '[]');
select postern.create_api_key(null, 'job');
select :'key' ~ '^pk_[A-Za-z0-9_-]{43}$', :'key' <> :'gone';
select role, subject, claims, label, created_by, expires_at < now() as expired from postern.api_key order by subject;
select sha256 from postern.api_key;
select postern.revoke_api_key(id), postern.revoke_api_key(id) from postern.api_key where subject = 'gone';
select postern.find_api_key(sha256(:'key'));
\c
set session authorization postern_gate;
select role, subject, claims, expires_at from postern.find_api_key(sha256(:'key'));
select * from postern.find_api_key(sha256(:'old'));
select * from postern.find_api_key(sha256(:'gone'));
select * from postern.find_api_key(sha256('pk_'));
select * from postern.api_key;
select postern.create_api_key('key_svc', 'job');
\c
delete from postern.api_key;
select postern.dismiss('key_svc');
drop role key_svc, key_admin;
