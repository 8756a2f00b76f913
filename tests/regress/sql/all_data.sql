-- Who may write all tables is stopped by row security at those of others, and must not have a way round it, or in as somebody else,
-- through ours: pg_write_all_data and pg_read_all_data on every table of the extension.
CREATE ROLE all_writer NOLOGIN;
GRANT pg_write_all_data, pg_read_all_data TO all_writer;
CREATE FUNCTION pg_temp.attempt(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    rows bigint;
BEGIN
    EXECUTE sql;
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN CASE rows WHEN 0 THEN 'no row' ELSE rows || ' rows' END;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;
-- One row in each that can have one, so that there is something to change.
SELECT postern.admit('all_writer');
SET ROLE all_writer;
SELECT c.oid::regclass AS "table",
       pg_temp.attempt(format('INSERT INTO %s DEFAULT VALUES', c.oid::regclass)) AS insert,
       pg_temp.attempt(format('UPDATE %s SET %I = %2$I', c.oid::regclass, a.attname)) AS update,
       pg_temp.attempt(format('DELETE FROM %s', c.oid::regclass)) AS delete
  FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
       JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'postern'
       JOIN LATERAL (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attgenerated = '' AND a.attidentity = ''
                      ORDER BY a.attnum DESC LIMIT 1) a ON true
 WHERE c.relkind = 'r' ORDER BY c.oid::regclass::text;
RESET ROLE;
SELECT postern.dismiss('all_writer');
DROP OWNED BY all_writer;
DROP ROLE all_writer;
