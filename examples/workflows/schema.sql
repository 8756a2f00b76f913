-- Durable functions over the invoices of the other example: an approval, a nightly aggregation, and a webhook that is tried again. Needs ../invoices/schema.sql in
-- this database. May be run again; it keeps the rows that are there.

BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL search_path = pg_catalog, pg_temp;

SELECT df.grant_usage('app_user');

CREATE TABLE IF NOT EXISTS public.orders (
    tenant text NOT NULL DEFAULT postern.fact('claims.tenant'),
    id bigint GENERATED ALWAYS AS IDENTITY,
    item text NOT NULL,
    amount numeric(12, 2) NOT NULL,
    status text NOT NULL DEFAULT 'waits',
    workflow text,
    PRIMARY KEY (tenant, id)
);
CREATE TABLE IF NOT EXISTS public.invoice_totals (
    tenant text NOT NULL DEFAULT postern.fact('claims.tenant'),
    customer text NOT NULL,
    amount numeric(12, 2) NOT NULL,
    computed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, customer)
);
ALTER TABLE public.orders OWNER TO invoices_owner;
ALTER TABLE public.invoice_totals OWNER TO invoices_owner;
ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE public.invoice_totals ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
-- The facts are those of whoever started the function: the steps see what the person saw, at night too.
DROP POLICY IF EXISTS own_tenant ON public.orders;
CREATE POLICY own_tenant ON public.orders TO app_user, invoices_owner
    USING (tenant = (SELECT postern.fact('claims.tenant')));
DROP POLICY IF EXISTS own_tenant ON public.invoice_totals;
CREATE POLICY own_tenant ON public.invoice_totals TO app_user, invoices_owner
    USING (tenant = (SELECT postern.fact('claims.tenant')));
GRANT SELECT, INSERT, UPDATE ON public.orders, public.invoice_totals TO app_user;

-- An order waits for a decision, for a day. SECURITY INVOKER: the steps run as whoever orders.
CREATE OR REPLACE FUNCTION public.place_order(item text, amount numeric) RETURNS TABLE (id bigint, workflow text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO public.orders (item, amount) VALUES (place_order.item, place_order.amount) RETURNING orders.id INTO place_order.id;
    place_order.workflow := df.start(
           df.wait_for_signal('decision', 24 * 3600) |=> 'decision'
        ~> df.if($q$SELECT $decision::jsonb->'data'->>'approved' = 'yes'$q$,
                 format($q$UPDATE public.orders SET status = 'approved' WHERE id = %s$q$, place_order.id),
                 format($q$UPDATE public.orders SET status = 'rejected' WHERE id = %s$q$, place_order.id)),
        'order ' || place_order.id);
    UPDATE public.orders o SET workflow = place_order.workflow WHERE o.id = place_order.id;
    RETURN NEXT;
END
$$;
REVOKE ALL ON FUNCTION public.place_order(text, numeric) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.place_order(text, numeric) TO app_user;

-- What each customer owes: one branch for each, four at a time. Once now, or every night.
CREATE OR REPLACE FUNCTION public.aggregate_invoices(nightly boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    body CONSTANT text := df.map(
        'SELECT DISTINCT customer FROM public.invoices',
        'INSERT INTO public.invoice_totals AS t (customer, amount)
         SELECT $item.customer, coalesce(sum(l.amount), 0)
           FROM public.invoices i JOIN public.invoice_lines l USING (tenant, number)
          WHERE i.customer = $item.customer AND i.paid_on IS NULL
         ON CONFLICT (tenant, customer) DO UPDATE SET amount = excluded.amount, computed_at = now()',
        concurrency => 4);
BEGIN
    RETURN CASE
        WHEN nightly THEN df.start(@> (df.wait_for_schedule('0 2 * * *') ~> body), 'nightly', key => 'nightly '
                                   || coalesce(postern.fact('claims.tenant'), ''))
        ELSE df.start(body, 'aggregation') END;
END
$$;
REVOKE ALL ON FUNCTION public.aggregate_invoices(boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.aggregate_invoices(boolean) TO app_user;
-- Somebody elsewhere is told of an order: tried again while that fails, and what came of it is kept either way. HTTP steps are a right
-- of their own, and an administrator says where they may go: postern.allow_http().
SELECT df.grant_usage('app_user', include_http => true);
ALTER TABLE public.orders ADD COLUMN IF NOT EXISTS webhook text;

CREATE OR REPLACE FUNCTION public.announce_order(id bigint, url text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN df.start(
        df.catch(
            format('SELECT item, amount FROM public.orders WHERE id = %s', id) |=> 'order'
            ~> df.retry(
                   -- The same key each time: whoever gets it twice can tell.
                   df.http(url, 'POST', '{"item": "$order.item", "amount": "$order.amount"}',
                           '{"Content-Type": "application/json", "Idempotency-Key": "{sys_instance_id}"}'::jsonb, 10) |=> 'answer',
                   max_attempts => 5, backoff => interval '200 milliseconds')
            ~> format('UPDATE public.orders SET webhook = ''answered '' || $answer.status WHERE id = %s', id),
            format('UPDATE public.orders SET webhook = ''failed: '' || $error.message WHERE id = %s', id)),
        'webhook ' || id);
END
$$;
REVOKE ALL ON FUNCTION public.announce_order(bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.announce_order(bigint, text) TO app_user;
COMMIT;
