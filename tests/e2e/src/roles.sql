-- alice attacks, bob is whom she is after, carol may create nothing and owns nothing.
create role app nologin;
create role alice nologin;
create role bob nologin;
create role carol nologin;
