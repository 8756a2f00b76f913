-- Invoices of several tenants in one table, each of which sees its own.
--
-- Who someone is comes from the facts of the request, which SQL cannot set: postern.fact('claims.tenant') is the claim
-- "tenant" of the token. Needs the extension in this database. May be run again; it keeps the rows that are there.

BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL search_path = pg_catalog, pg_temp;

-- Two roles, neither of which logs in: one owns the tables, the other is entered by the gate and owns nothing.
DO $roles$
DECLARE
    wanted name;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['invoices_owner', 'app_user'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
END
$roles$;

-- Nobody makes objects for others to stumble over, or temporary ones that could take a name over.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
DO $temporary$
BEGIN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END
$temporary$;

-- The tenant leads each key. So row security is an index condition, a number taken by one tenant is free for another
-- (whose error would tell of it), and a foreign key, which looks past row security, cannot reach another tenant's row.
CREATE TABLE IF NOT EXISTS public.invoices (
    tenant text NOT NULL DEFAULT postern.fact('claims.tenant'),
    number text NOT NULL,
    customer text NOT NULL,
    issued_on date NOT NULL DEFAULT CURRENT_DATE,
    due_on date NOT NULL DEFAULT CURRENT_DATE + 30,
    paid_on date,
    created_by text NOT NULL DEFAULT postern.fact('claims.sub'),
    PRIMARY KEY (tenant, number),
    CHECK (due_on >= issued_on)
);
CREATE TABLE IF NOT EXISTS public.invoice_lines (
    tenant text NOT NULL DEFAULT postern.fact('claims.tenant'),
    number text NOT NULL,
    line smallint NOT NULL CHECK (line > 0),
    description text NOT NULL,
    amount numeric(12, 2) NOT NULL,
    PRIMARY KEY (tenant, number, line),
    FOREIGN KEY (tenant, number) REFERENCES public.invoices ON DELETE CASCADE
);
ALTER TABLE public.invoices OWNER TO invoices_owner;
ALTER TABLE public.invoice_lines OWNER TO invoices_owner;

-- FORCE: the owner is held to the policies too, should anything ever run as it.
ALTER TABLE public.invoices ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE public.invoice_lines ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

-- In a subquery the fact is looked up once for each statement, not for each row. Without the claim it is NULL, and no
-- row is visible.
DROP POLICY IF EXISTS own_tenant ON public.invoices;
CREATE POLICY own_tenant ON public.invoices TO app_user, invoices_owner
    USING (tenant = (SELECT postern.fact('claims.tenant')));
DROP POLICY IF EXISTS own_tenant ON public.invoice_lines;
CREATE POLICY own_tenant ON public.invoice_lines TO app_user, invoices_owner
    USING (tenant = (SELECT postern.fact('claims.tenant')));
-- Restrictive: besides the one above. An invoice is written in one's own name.
DROP POLICY IF EXISTS own_name ON public.invoices;
CREATE POLICY own_name ON public.invoices AS RESTRICTIVE FOR INSERT TO app_user
    WITH CHECK (created_by = (SELECT postern.fact('claims.sub')));

-- security_invoker: the view is read with the rights, and under the row security, of whoever reads it.
CREATE OR REPLACE VIEW public.open_invoices WITH (security_invoker = true, security_barrier = true) AS
    SELECT i.tenant, i.number, i.customer, i.due_on, sum(l.amount) AS amount
      FROM public.invoices i JOIN public.invoice_lines l USING (tenant, number)
     WHERE i.paid_on IS NULL
     GROUP BY i.tenant, i.number;
ALTER VIEW public.open_invoices OWNER TO invoices_owner;

GRANT USAGE ON SCHEMA public TO app_user;
GRANT SELECT, INSERT ON public.invoices, public.invoice_lines TO app_user;
-- Not the tenant, not the number, not who wrote it.
GRANT UPDATE (customer, due_on, paid_on) ON public.invoices TO app_user;
GRANT SELECT ON public.open_invoices TO app_user;

INSERT INTO public.invoices (tenant, number, customer, issued_on, due_on, paid_on, created_by) VALUES
    ('acme',   '2026-001', 'Rosa''s Bakery',    '2026-01-12', '2026-02-11', '2026-02-02', 'alice'),
    ('acme',   '2026-002', 'Northwind Cycles',  '2026-02-03', '2026-03-05', NULL,         'alice'),
    ('acme',   '2026-003', 'Tidewater Marina',  '2026-02-20', '2026-03-22', NULL,         'carol'),
    ('globex', '2026-001', 'Hillside School',   '2026-01-30', '2026-03-01', NULL,         'bob'),
    ('globex', '2026-002', 'Lantern Theatre',   '2026-02-14', '2026-03-16', '2026-03-01', 'bob')
ON CONFLICT DO NOTHING;
INSERT INTO public.invoice_lines (tenant, number, line, description, amount) VALUES
    ('acme',   '2026-001', 1, 'Oven inspection',       180.00),
    ('acme',   '2026-002', 1, 'Frame welding',         640.00),
    ('acme',   '2026-002', 2, 'Delivery',               45.50),
    ('acme',   '2026-003', 1, 'Pier lighting',        2300.00),
    ('globex', '2026-001', 1, 'Projector rental',      320.00),
    ('globex', '2026-001', 2, 'Technician, two days',  900.00),
    ('globex', '2026-002', 1, 'Stage rigging',        1750.00)
ON CONFLICT DO NOTHING;

SELECT postern.admit('app_user');
COMMIT;
