"""Logins to PostgreSQL for the functions beside this file."""

import pg8000.dbapi
import pg8000.exceptions

# What a login that is refused raises, and a server that is not there.
REFUSED = (pg8000.exceptions.DatabaseError, pg8000.exceptions.InterfaceError, OSError)


def login(value):
    """A connection with this secret's value; None where it does not log in."""
    try:
        return pg8000.dbapi.connect(
            host=value["host"],
            port=int(value.get("port", 5432)),
            user=value["username"],
            password=value["password"],
            database=value.get("dbname", "postgres"),
            timeout=5,
        )
    except REFUSED:
        return None


def logs_in(value):
    """Whether it logs in and can ask something."""
    connection = login(value)
    if connection is None:
        return False
    try:
        connection.cursor().execute("SELECT now()")
        return True
    finally:
        connection.close()


def change(connection, statements):
    """Runs statements made by the server's own quoting, in one transaction. Each is a pattern and what it quotes."""
    cursor = connection.cursor()
    for pattern, values in statements:
        cursor.execute("SELECT format(%s%s)" % ("%s", ", %s::text" * len(values)), [pattern, *values])
        cursor.execute(cursor.fetchone()[0])
    connection.commit()


def exists(connection, user):
    cursor = connection.cursor()
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [user])
    return cursor.fetchone() is not None
