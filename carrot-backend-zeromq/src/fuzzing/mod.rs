//! Both sides of the protocol without sockets that are read. Only fuzz targets and tests compile
//! it.

mod call_program;
mod round_trip;
mod session;
mod transcript;

pub use call_program::{CallProgram, call_program, greeting};
pub use round_trip::{RereadMessage, reread_event, reread_request};
pub use session::{SentMessages, SocketlessHost};
pub use transcript::{ZmtpRole, ZmtpTranscript, zmtp_transcript};
