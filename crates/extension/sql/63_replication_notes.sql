-- What the judge asks beside the rules, and what is allowed but worth to know.

CREATE FUNCTION postern.code_basis(relations pg_catalog.text)
RETURNS TABLE (class pg_catalog.oid, object pg_catalog.oid)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    RETURN QUERY
    SELECT CASE WHEN k.function IS NULL THEN 'pg_catalog.pg_type'::pg_catalog.regclass ELSE 'pg_catalog.pg_proc'::pg_catalog.regclass END::pg_catalog.oid,
           coalesce(k.function, k.type)
      FROM postern.table_code(pg_catalog.string_to_array(relations, ',')::pg_catalog.oid[]) k
     WHERE k.function IS NULL OR k.function >= 16384::pg_catalog.oid
     GROUP BY 1, 2 ORDER BY 1, 2;
END
$$;
REVOKE ALL ON FUNCTION postern.code_basis(pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION postern.code_basis(pg_catalog.text) IS 'The functions and types that tables have in code that runs when a row is written';

CREATE FUNCTION postern.replication_basis(sources pg_catalog.text)
RETURNS TABLE (class pg_catalog.oid, object pg_catalog.oid)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    touched CONSTANT pg_catalog.oid[] := pg_catalog.string_to_array(sources, ',')::pg_catalog.oid[];
    relations CONSTANT pg_catalog.oid[] := ARRAY(
        SELECT DISTINCT m.relation FROM postern.replication_members m
         WHERE m.source = ANY (touched) OR m.publication = ANY (touched) OR m.subscription = ANY (touched)
            OR m.relation IN (SELECT p.relid FROM pg_catalog.unnest(touched) t (oid), pg_catalog.pg_partition_tree(t.oid) p));
BEGIN
    RETURN QUERY
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid, r.oid FROM pg_catalog.unnest(relations) r (oid)
    UNION
    -- A table may be on its way into a schema.
    SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass, n.pnnspid FROM pg_catalog.pg_publication_namespace n
     WHERE n.oid = ANY (touched) OR n.pnpubid = ANY (touched)
    UNION
    SELECT b.class, b.object FROM postern.code_basis(pg_catalog.array_to_string(relations, ',')) b
     ORDER BY 1, 2;
END
$$;
REVOKE ALL ON FUNCTION postern.replication_basis(pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION postern.replication_basis(pg_catalog.text) IS
    'The tables and schemas that a publication, subscription or partition makes replicated ones, and the code that they have';

CREATE FUNCTION postern.trigger_now(relation pg_catalog.oid, trigger pg_catalog.oid)
RETURNS TABLE (table_name pg_catalog.text, now_name pg_catalog.text, now_enabled pg_catalog."char")
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    RETURN QUERY
    SELECT c.oid::pg_catalog.regclass::pg_catalog.text, t.tgname::pg_catalog.text, t.tgenabled
      FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_trigger t ON t.oid = trigger_now.trigger
     WHERE c.oid = trigger_now.relation AND EXISTS (SELECT FROM postern.replication_members m WHERE m.relation = c.oid);
END
$$;
REVOKE ALL ON FUNCTION postern.trigger_now(pg_catalog.oid, pg_catalog.oid) FROM PUBLIC;
COMMENT ON FUNCTION postern.trigger_now(pg_catalog.oid, pg_catalog.oid) IS 'What became of a trigger of a replicated table';

CREATE FUNCTION postern.recheck_replication(hold pg_catalog.bool DEFAULT false)
RETURNS TABLE (
    relation pg_catalog.regclass, publication pg_catalog.name, subscription pg_catalog.name, sentence pg_catalog.text, mend pg_catalog.text,
    held pg_catalog.bool
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    FOR relation, publication, subscription, sentence, mend, held IN
        SELECT DISTINCT m.relation::pg_catalog.regclass, p.pubname, s.subname, f.sentence, f.mend, $1 AND coalesce(s.subenabled, false)
          FROM postern.table_findings(ARRAY(SELECT DISTINCT m.relation FROM postern.replication_members m)) f
          JOIN postern.replication_members m ON m.relation = f.relation
          LEFT JOIN pg_catalog.pg_publication p ON p.oid = m.publication
          LEFT JOIN pg_catalog.pg_subscription s ON s.oid = m.subscription
         WHERE f.severe AND (f.reason <> 'subscription' OR f.subscription = m.subscription)
         ORDER BY 1, 2, 3, 4
    LOOP
        IF held THEN
            PERFORM postern.subscription_hold(subscription::pg_catalog.text);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION postern.recheck_replication(pg_catalog.bool) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.recheck_replication(pg_catalog.bool) TO postern_admin;
COMMENT ON FUNCTION postern.recheck_replication(pg_catalog.bool) IS
    'What replicated tables have that the rules forbid, as after a time without the library; with hold, subscriptions of such tables are disabled';

CREATE VIEW postern.replication_notes AS
WITH member AS MATERIALIZED (
    SELECT DISTINCT m.relation AS oid FROM postern.replication_members m
), tab AS MATERIALIZED (
    SELECT c.oid, c.oid::pg_catalog.regclass AS relation, c.relowner, c.relacl, c.relreplident, c.relkind
      FROM member m JOIN pg_catalog.pg_class c ON c.oid = m.oid
), code AS MATERIALIZED (
    SELECT t.relation, t.relowner, t.relacl, k.kind, k.object_id, k.object, p.oid AS function, p.proowner, p.prosecdef, p.prosrc,
           l.lanname, l.lanpltrusted
      FROM postern.table_code(ARRAY(SELECT m.oid FROM member m)) k
      JOIN tab t ON t.oid = k.relation
      JOIN pg_catalog.pg_proc p ON p.oid = k.function
      JOIN pg_catalog.pg_language l ON l.oid = p.prolang
     WHERE NOT postern.is_trusted_code(p.oid)
)
SELECT c.relation, 'arguments' AS note, c.object, c.function::pg_catalog.regprocedure AS function,
       pg_catalog.format('Trigger "%s" of %s steers by its arguments what %s executes; whoever may attach the function chooses them.',
                         c.object, c.relation, c.function::pg_catalog.regprocedure) AS sentence
  FROM code c JOIN pg_catalog.pg_trigger t ON c.kind = 'trigger' AND t.oid = c.object_id
 WHERE t.tgnargs > 0 AND c.prosrc ~* '\mtg_argv\M' AND c.prosrc ~* '\mexecute\M'
UNION ALL
SELECT c.relation, 'definer', c.object, c.function,
       pg_catalog.format('Trigger "%s" of %s runs as "%s", who sees every row that is written and may change it.',
                         c.object, c.relation, pg_catalog.pg_get_userbyid(c.proowner))
  FROM code c WHERE c.kind = 'trigger' AND c.prosecdef AND c.proowner <> c.relowner
UNION ALL
SELECT c.relation, 'execute', c.object, c.function,
       pg_catalog.format('Trigger "%s" of %s fires, though nobody who may attach triggers to the table may execute %s any more.',
                         c.object, c.relation, c.function::pg_catalog.regprocedure)
  FROM code c
 WHERE c.kind = 'trigger' AND NOT pg_catalog.has_function_privilege(c.relowner, c.function, 'EXECUTE')
   AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(c.relacl) a
                    WHERE a.privilege_type = 'TRIGGER'
                      AND (a.grantee = 0::pg_catalog.oid AND pg_catalog.has_function_privilege('public', c.function, 'EXECUTE')
                           OR a.grantee <> 0::pg_catalog.oid AND pg_catalog.has_function_privilege(a.grantee, c.function, 'EXECUTE')))
UNION ALL
SELECT c.relation, 'language', c.object, c.function,
       pg_catalog.format('%s of %s runs %s, which is written in %s: nothing holds it in.',
                         pg_catalog.concat(pg_catalog.upper(pg_catalog.left(c.kind, 1)), pg_catalog.substr(c.kind, 2), ' "' || c.object || '"'), c.relation, c.function::pg_catalog.regprocedure, c.lanname)
  FROM code c WHERE NOT c.lanpltrusted
UNION ALL
SELECT t.relation, 'rule', r.rulename::pg_catalog.text, NULL,
       pg_catalog.format('Rule "%s" of %s does not fire on apply, and does for who writes rows by statements.', r.rulename, t.relation)
  FROM tab t JOIN pg_catalog.pg_rewrite r ON r.ev_class = t.oid
UNION ALL
SELECT t.relation, 'type', a.attname::pg_catalog.text, y.typinput,
       pg_catalog.format('Column "%s" of %s has the type %s, whose input function the server did not come with.',
                         a.attname, t.relation, pg_catalog.format_type(y.oid, NULL))
  FROM tab t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
 WHERE y.typinput >= 16384::pg_catalog.oid AND NOT postern.is_trusted_code(y.typinput)
UNION ALL
SELECT DISTINCT t.relation, 'operator class', x.indexrelid::pg_catalog.regclass::pg_catalog.text, a.amproc::pg_catalog.oid,
       pg_catalog.format('Index %s of %s uses the operator class %s, whose function %s the server did not come with.',
                         x.indexrelid::pg_catalog.regclass, t.relation, pg_catalog.quote_ident(o.opcname), a.amproc::pg_catalog.regprocedure)
  FROM tab t
  JOIN pg_catalog.pg_index x ON x.indrelid = t.oid
  JOIN pg_catalog.pg_opclass o ON o.oid = ANY (x.indclass)
  JOIN pg_catalog.pg_amproc a ON a.amprocfamily = o.opcfamily
 WHERE a.amproc::pg_catalog.oid >= 16384::pg_catalog.oid AND NOT postern.is_trusted_code(a.amproc)
UNION ALL
SELECT t.relation, 'identity', NULL, NULL,
       pg_catalog.format('%s has no replica identity, and its updates or deletes are published: they fail.', t.relation)
  FROM tab t
 WHERE EXISTS (SELECT FROM postern.replication_members m JOIN pg_catalog.pg_publication p ON p.oid = m.publication
                WHERE m.relation = t.oid AND (p.pubupdate OR p.pubdelete))
   AND (t.relkind = 'r' OR NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = t.oid))
   AND NOT CASE t.relreplident
           WHEN 'f' THEN true
           WHEN 'd' THEN EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = t.oid AND i.indisprimary)
           WHEN 'i' THEN EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = t.oid AND i.indisreplident)
           ELSE false END
UNION ALL
SELECT DISTINCT a.relation::pg_catalog.regclass, 'row security', a.applier::pg_catalog.text, NULL::pg_catalog.oid,
       pg_catalog.format('%s has row security that holds for "%s", as whom its rows are applied: apply stops.', a.relation::pg_catalog.regclass, a.applier)
  FROM postern.apply_row_security a
UNION ALL
SELECT NULL, 'parameter', a.grantee::pg_catalog.regrole::pg_catalog.text, NULL,
       pg_catalog.format('%s may set session_replication_role, and so write rows without triggers.',
                         CASE a.grantee WHEN 0::pg_catalog.oid THEN 'Everybody' ELSE 'Role "' || pg_catalog.pg_get_userbyid(a.grantee) || '"' END)
  FROM pg_catalog.pg_parameter_acl q, LATERAL pg_catalog.aclexplode(q.paracl) a
 WHERE q.parname = 'session_replication_role' AND a.privilege_type = 'SET'
   AND NOT coalesce((SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.oid = a.grantee), false)
UNION ALL
-- A setting that the library did not define, but somebody made up, is not in the view.
SELECT NULL, 'enforcement', s.setting, NULL,
       CASE WHEN s.setting IS NULL THEN 'The library is not loaded (shared_preload_libraries): nothing is refused.'
            ELSE pg_catalog.format('postern.trigger_rule is %s: nothing is refused.', s.setting) END
  FROM (SELECT (SELECT g.setting FROM pg_catalog.pg_settings g WHERE g.name = 'postern.trigger_rule')) s (setting)
 WHERE s.setting IS NULL OR s.setting IN ('off', 'warn');
REVOKE ALL ON TABLE postern.replication_notes FROM PUBLIC;
GRANT SELECT ON TABLE postern.replication_notes TO PUBLIC;
COMMENT ON VIEW postern.replication_notes IS
    'What is allowed about replicated tables and worth to know, and whether the rules are in force';
