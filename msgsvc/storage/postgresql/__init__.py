"""PostgreSQL, the engine for many processes on many machines; psycopg comes with the extra ``postgresql``."""
