-- Names: which subprograms there are, and whose names others could capture.

CREATE FUNCTION postern.path_elements(path pg_catalog.text) RETURNS pg_catalog.text[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'path_elements_wrapper';
GRANT EXECUTE ON FUNCTION postern.path_elements(pg_catalog.text) TO PUBLIC;
COMMENT ON FUNCTION postern.path_elements(pg_catalog.text) IS 'The names in a search_path, as the server reads it; null if it does not';

CREATE FUNCTION postern.intruder(owner pg_catalog.oid, acl pg_catalog.aclitem[], victim pg_catalog.oid) RETURNS pg_catalog.text
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- Towards the victim a role is trusted if it is a superuser, the victim, or able to become it. A membership counts without
    -- INHERIT, too: the role can be set. Nobody is one of the server's own roles; their members are looked at themselves.
    WITH holder (oid) AS (
        SELECT intruder.owner
        UNION
        SELECT a.grantee FROM pg_catalog.aclexplode(intruder.acl) a WHERE a.privilege_type OPERATOR(pg_catalog.=) 'CREATE'
    ),
    untrusted_holder AS (
        SELECT h.oid FROM holder h LEFT JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) h.oid
         WHERE h.oid OPERATOR(pg_catalog.<>) intruder.victim AND r.rolsuper IS NOT TRUE
    )
    SELECT CASE
        WHEN EXISTS (SELECT FROM untrusted_holder h WHERE h.oid OPERATOR(pg_catalog.=) 0::pg_catalog.oid) THEN 'everyone'
        ELSE (SELECT pg_catalog.concat('role ', pg_catalog.quote_ident(r.rolname))
                FROM untrusted_holder h JOIN pg_catalog.pg_roles r ON pg_catalog.pg_has_role(r.oid, h.oid, 'MEMBER')
               WHERE NOT r.rolsuper AND r.rolname OPERATOR(pg_catalog.!~) '^pg_'
                 AND NOT pg_catalog.pg_has_role(r.oid, intruder.victim, 'MEMBER')
                 -- Before 16 CREATEROLE confers any membership but a superuser's.
                 AND NOT (r.rolcreaterole AND pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.<) 160000
                          AND NOT (SELECT v.rolsuper FROM pg_catalog.pg_roles v WHERE v.oid OPERATOR(pg_catalog.=) intruder.victim))
               ORDER BY r.rolcanlogin DESC, r.rolname LIMIT 1)
        END;
END;
GRANT EXECUTE ON FUNCTION postern.intruder(pg_catalog.oid, pg_catalog.aclitem[], pg_catalog.oid) TO PUBLIC;
COMMENT ON FUNCTION postern.intruder(pg_catalog.oid, pg_catalog.aclitem[], pg_catalog.oid) IS
    'Who can create in a schema or database of this owner and with these privileges, and is not trusted towards the victim; null if nobody';

CREATE FUNCTION postern.path_judged(path pg_catalog.text, owner pg_catalog.oid, OUT problem pg_catalog.text, OUT mended pg_catalog.text)
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH listed AS (
        SELECT CASE e.name WHEN '$user' THEN pg_catalog.pg_get_userbyid(path_judged.owner) ELSE e.name END AS name, e.n
          FROM pg_catalog.unnest(postern.path_elements(path_judged.path)) WITH ORDINALITY e (name, n)
    ),
    -- The server takes the first of two that are the same.
    element AS (
        SELECT l.name, pg_catalog.min(l.n) AS n FROM listed l GROUP BY l.name
    ),
    judged AS (
        SELECT e.n, e.name,
               CASE WHEN e.name OPERATOR(pg_catalog.=) ANY ('{pg_catalog,pg_temp}'::pg_catalog.text[]) THEN NULL
                    WHEN e.name OPERATOR(pg_catalog.~) '^pg_(toast_)?temp_' THEN pg_catalog.concat('schema ', pg_catalog.quote_ident(e.name), ' has the temporary objects of a session')
                    WHEN s.oid IS NULL THEN (SELECT pg_catalog.concat('schema ', pg_catalog.quote_ident(e.name), ' does not exist, and ', i.who, ' can create it')
                                               FROM pg_catalog.pg_database d, postern.intruder(d.datdba, d.datacl, path_judged.owner) i (who)
                                              WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() AND i.who IS NOT NULL)
                    ELSE (SELECT pg_catalog.concat(i.who, ' can create objects in schema ', pg_catalog.quote_ident(e.name))
                            FROM postern.intruder(s.nspowner, s.nspacl, path_judged.owner) i (who) WHERE i.who IS NOT NULL)
               END AS problem,
               s.oid IS NOT NULL OR e.name OPERATOR(pg_catalog.=) 'pg_temp' AS there
          FROM element e LEFT JOIN pg_catalog.pg_namespace s ON s.nspname OPERATOR(pg_catalog.=) e.name
    )
    SELECT CASE WHEN path_judged.path IS NULL THEN 'it runs under the search_path of whoever calls it'
                WHEN postern.path_elements(path_judged.path) IS NULL THEN 'its search_path cannot be read'
                ELSE nullif(pg_catalog.concat_ws('; ',
                    (SELECT pg_catalog.string_agg(j.problem, '; ' ORDER BY j.n) FROM judged j),
                    CASE WHEN NOT EXISTS (SELECT FROM judged j WHERE j.name OPERATOR(pg_catalog.=) 'pg_temp')
                         THEN 'temporary objects come first, because pg_temp is not in its search_path'
                         WHEN EXISTS (SELECT FROM judged t JOIN judged j ON j.n OPERATOR(pg_catalog.>) t.n WHERE t.name OPERATOR(pg_catalog.=) 'pg_temp')
                         THEN 'temporary objects come before others, because pg_temp is not the last in its search_path' END), '')
           END,
           pg_catalog.concat_ws(', ',
               coalesce((SELECT pg_catalog.string_agg(pg_catalog.quote_ident(j.name), ', ' ORDER BY j.n)
                           FROM judged j WHERE j.there AND j.problem IS NULL AND j.name OPERATOR(pg_catalog.<>) 'pg_temp'), 'pg_catalog'),
               'pg_temp');
END;
GRANT EXECUTE ON FUNCTION postern.path_judged(pg_catalog.text, pg_catalog.oid) TO PUBLIC;
COMMENT ON FUNCTION postern.path_judged(pg_catalog.text, pg_catalog.oid) IS
    'Why the search_path of a subprogram lets others capture names in it, null if it does not; and what is left of it without those places';

CREATE VIEW postern.subprograms AS
    SELECT p.oid, n.nspname AS schema, p.proname AS name, i.identity,
           CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END AS kind,
           l.lanname AS language, pg_catalog.pg_get_userbyid(p.proowner) AS owner,
           p.prosecdef AS security_definer, p.prosqlbody IS NOT NULL AS atomic, c.path AS search_path,
           EXISTS (SELECT FROM pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
                    WHERE a.grantee OPERATOR(pg_catalog.=) 0::pg_catalog.oid AND a.privilege_type OPERATOR(pg_catalog.=) 'EXECUTE') AS executable_by_public,
           p.prosqlbody IS NOT NULL OR j.problem IS NULL AS safe,
           CASE WHEN p.prosqlbody IS NULL THEN j.problem END AS problem,
           CASE WHEN p.prosqlbody IS NULL AND j.problem IS NOT NULL AND p.prokind OPERATOR(pg_catalog.<>) 'a'
                THEN pg_catalog.format('ALTER %s %s SET search_path = %s',
                                       CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, i.identity, j.mended) END AS remedy
      FROM pg_catalog.pg_proc p
      JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
      JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang
     CROSS JOIN LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 0) i
      LEFT JOIN LATERAL (SELECT pg_catalog.substr(u.setting, 13) AS path FROM pg_catalog.unnest(p.proconfig) u (setting)
                          WHERE pg_catalog.starts_with(u.setting, 'search_path=')) c ON true
     CROSS JOIN LATERAL postern.path_judged(c.path, p.proowner) j
     -- What came with the server has lower numbers.
     WHERE p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid;
REVOKE ALL ON TABLE postern.subprograms FROM PUBLIC;
-- It says what the catalogs say, which everyone may read.
GRANT SELECT ON TABLE postern.subprograms TO PUBLIC;
COMMENT ON VIEW postern.subprograms IS
    'Every subprogram that did not come with the server: whether it is SECURITY DEFINER, its search_path, whether that is safe, and if not, why and what mends it';
