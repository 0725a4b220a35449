//! Clients in Python. `./scripts/python` installs them.

mod pika;
mod values;
