//! A scripted peer.
