"""Rows of any number of sidecars in one PostgreSQL, from version 14 on, encoded in UTF8.

destination.py brings them there. dsn.py is where to, values.py what a row becomes, failures.py what an error means.
schema.py makes the tables of steps/ and the views of views/, by whoever comes first and may; account.py brings what the
recorders say of themselves.

What an exporter's role needs: CONNECT and TEMPORARY on the database; CREATE on the schema until the tables are there or
are to be brought to a newer version, so an admin may do that alone, by one export. After that:

    GRANT USAGE ON SCHEMA public TO exporter;
    GRANT SELECT ON llm_metrics_schema TO exporter;
    GRANT SELECT, INSERT, UPDATE ON completion_requests, llm_metrics_sources, recorder_counters, recorder_events
        TO exporter;
    GRANT EXECUTE ON FUNCTION llm_metrics_make_partitions TO exporter;

The function makes a month's partition with its owner's rights. Nobody needs DELETE. Through PgBouncer an exporter needs
a pool of sessions, since it keeps a temporary table.
"""
