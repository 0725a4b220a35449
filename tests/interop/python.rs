//! Clients in Python. `./scripts/python` installs them.

mod celery;
mod kombu;
mod pika;
mod pytest;
mod suites;
mod values;
mod zeromq;
