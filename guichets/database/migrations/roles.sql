-- The three group roles of every Guichets database. Roles belong to the whole cluster, so another database's
-- upgrade may create them at the same instant: both error codes then mean « it is there now ».
-- Executed before each upgrade, and to be run by hand before schema.sql.
DO $roles$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['guichets_writer', 'guichets_reader', 'guichets_public'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN NULL;
            END;
        END IF;
        -- SET ROLE needs a membership; a superuser has no need of one. « MEMBER » on PostgreSQL 16 and later would
        -- be true for a creator who may not SET ROLE, hence the question about the kind of membership there.
        IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
           AND NOT pg_has_role(
               current_user, wanted,
               CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END
           )
        THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', wanted);
        END IF;
    END LOOP;
END
$roles$;
