//! Clients in Python. `./scripts/python` installs them.

mod kombu;
mod pika;
mod values;
