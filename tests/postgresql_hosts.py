"""Hosts on PostgreSQL: a Flask site with SQLAlchemy and a Django site, each in a schema that is not public."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import hosts
import postgresql_server
import psycopg
import sqlalchemy
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool

SCHEMA = "site"


class Base(DeclarativeBase):
    """The tables of the Flask site."""


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    username: Mapped[str] = mapped_column(sqlalchemy.String(80), unique=True)
    password_hash: Mapped[str]
    role: Mapped[str] = mapped_column(sqlalchemy.String(20))
    theme: Mapped[str | None] = mapped_column(server_default="dark")


class Sessions(Base):
    __tablename__ = "sessions"

    cookie: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sqlalchemy.ForeignKey(User.id))


class Block(Base):
    __tablename__ = "blocks"

    id: Mapped[int] = mapped_column(primary_key=True)
    colour: Mapped[str]


class Audit(Base):
    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    invoice: Mapped[str]


class MessageBase(DeclarativeBase):
    """Tables that msgsvc makes and the site writes too."""


class Message(MessageBase):
    __tablename__ = "messages"

    id: Mapped[int] = mapped_column(primary_key=True)
    sender_username: Mapped[str]
    recipient_username: Mapped[str]
    content: Mapped[str]
    is_read: Mapped[int] = mapped_column(default=0)
    sent_at: Mapped[datetime] = mapped_column(
        sqlalchemy.DateTime(timezone=True), default=lambda: datetime.now(UTC).replace(microsecond=0)
    )


def new_database() -> str:
    """The URI of an empty database whose search path names the schema alone."""
    uri = postgresql_server.new_database(empty=True)
    with psycopg.connect(uri) as connection:
        connection.execute(f"CREATE SCHEMA {SCHEMA}".encode())
    return in_schema(uri)


def in_schema(uri: str) -> str:
    """The URI with the search path."""
    return f"{uri}{'&' if '?' in uri else '?'}options=-csearch_path%3D{SCHEMA}"


@contextmanager
def orm_session(uri: str) -> Iterator[Session]:
    """A session of SQLAlchemy, committed at the end of the block."""
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(uri), poolclass=NullPool)
    with Session(engine) as session, session.begin():
        yield session


def create_flask_database() -> str:
    """The URI of a new database with the Flask site's tables."""
    uri = new_database()
    with orm_session(uri) as session:
        Base.metadata.create_all(session.connection())
        session.add_all([Block(colour="red"), Audit(invoice="paid")])
        session.add_all(
            User(email=f"{name}@example.org", username=name, password_hash=hosts.PASSWORD_HASH, role=role)
            for name, role in hosts.ROLES.items()
        )
    return uri


def flask_site(uri: str) -> hosts.Site:
    """Messages as a blueprint of a site that finds its accounts by SQLAlchemy."""

    def password_hash_of(username: str) -> str | None:
        with orm_session(uri) as session:
            return session.scalar(sqlalchemy.select(User.password_hash).where(User.username == username))

    return hosts.flask_site(uri, password_hash_of=password_hash_of)


ACCOUNTS_OF_DJANGO = """
CREATE FUNCTION host_users_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO users (email, username, password_hash, role)
    VALUES (new.email, new.username, '', CASE WHEN new.is_superuser THEN 'admin' ELSE new.first_name END);
    RETURN NULL;
END
$$;
CREATE TRIGGER host_users_insert AFTER INSERT ON auth_user FOR EACH ROW EXECUTE FUNCTION host_users_insert();
"""


def create_django_database() -> str:
    """The URI of a new database with Django's own tables and accounts; a trigger copies each into ``users``."""
    uri = new_database()
    with hosts.django_database(settings_of_django(uri)):
        tables = hosts.HOST_TABLES.replace("INTEGER PRIMARY KEY", "SERIAL PRIMARY KEY")
        hosts.fill_django_database(lambda: hosts.script(uri, tables + ACCOUNTS_OF_DJANGO))
    return uri


def settings_of_django(uri: str) -> dict[str, object]:
    """An entry of Django's DATABASES."""
    given = conninfo_to_dict(uri)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": given["dbname"],
        "USER": given["user"],
        "HOST": given["host"],
        "PORT": given.get("port", ""),
        "OPTIONS": {"options": given["options"]},
    }
