//! Passes any octets of a broker through the reading side of a connection, without a socket that is
//! read. Only fuzz targets and tests compile it.

use std::fmt;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use carrot_amqp_wire::{
    BasicDeliver, ConnectionOpenOk, ConnectionStart, ConnectionTune, FrameReader, FrameWriter,
    LongStr, Method, PropertiesRef,
};
use carrot_core::ConnectionOptions;
use carrot_core::backend::{Content, Role};
use socket2::SockRef;

use crate::channel::{ChannelInner, ConsumerQueue, ConsumerTerms};
use crate::connection::{ConnectionState, Demux, Pipe, ReadEnd, RoleContext, unread};

const FRAME_MAX: u32 = 4096;
/// The number of published messages on the channel with confirms.
const PUBLISHED: u64 = 5;

/// The connection with the channels 1 and 2. The first consumes, the second has published.
struct Subject {
    state: Arc<ConnectionState>,
    demux: Demux,
    frames: FrameReader,
    channels: [Arc<ChannelInner>; 2],
    consumer: ConsumerQueue,
    _pipe: Pipe,
    /// The other end of the socket.
    _peer: TcpStream,
}

/// Passes the octets on in the given cuts, and returns a description of all that the users of the
/// connection can see of it.
///
/// # Panics
/// If the driver does, or if no socket can be opened.
pub fn demultiplex(octets: &[u8], cuts: &[u8]) -> String {
    let mut subject = Subject::new().expect("sockets of the loopback interface");
    let end = subject.read(octets, cuts).err();
    let Subject { state, channels: [consuming, publishing], consumer, .. } = &subject;
    let deliveries: Vec<_> =
        consumer.deliveries.try_iter().map(|arrived| arrived.into_delivery()).collect();
    let now = Instant::now();
    let confirms: Vec<_> = (1..=PUBLISHED).map(|tag| publishing.confirms.wait(tag, now)).collect();
    let failures = [consuming.failure(), publishing.failure()];
    let blocked = state.blocked();
    format!("{end:?}\n{deliveries:?}\n{confirms:?}\n{failures:?}\n{blocked:?}")
}

/// Returns octets of a broker, as a start for other ones: a delivery, confirms and a heartbeat.
pub fn sample() -> Vec<u8> {
    let mut octets = Vec::new();
    let deliver = BasicDeliver {
        consumer_tag: "carrot-1".into(),
        delivery_tag: 1,
        redelivered: false,
        exchange: "e".into(),
        routing_key: "k".into(),
    };
    let content = Content::new("e", "k", vec![b'b'; 5000]);
    let written = FrameWriter::new(&mut octets, 1, FRAME_MAX).content(
        &deliver.into(),
        &PropertiesRef::from(&content.properties),
        &content.body,
    );
    debug_assert!(written.is_ok());
    octets.extend_from_slice(&carrot_amqp_wire::HEARTBEAT);
    let ack = carrot_amqp_wire::BasicAck { delivery_tag: 3, multiple: true };
    append(&mut octets, 2, &ack.into());
    octets
}

fn append(octets: &mut Vec<u8>, channel: u16, method: &Method<'_>) {
    let written = FrameWriter::new(octets, channel, FRAME_MAX).method(method);
    debug_assert!(written.is_ok(), "{written:?}");
}

/// Describes an end. A frame can be wrong in two ways, and the cut decides which one is seen first.
fn describe(end: ReadEnd) -> String {
    match end {
        ReadEnd::Broken(_) => "a violation".to_string(),
        end => format!("{end:?}"),
    }
}

impl Subject {
    fn new() -> io::Result<Subject> {
        static CONTEXT: OnceLock<RoleContext> = OnceLock::new();
        let context = CONTEXT.get_or_init(|| RoleContext {
            role: Role::Consume,
            observers: Weak::new(),
            isolation: Arc::default(),
            supervisor: Arc::default(),
            max_waiting_bytes: None,
        });
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let socket = TcpStream::connect(listener.local_addr()?)?;
        let peer = listener.accept()?.0;
        // No port rests after its connection, or millions of cases would take all ports.
        for end in [&socket, &peer] {
            SockRef::from(end).set_linger(Some(Duration::ZERO))?;
        }
        let options = ConnectionOptions::new();
        let (state, mut demux, pipe) = unread(context, &options, socket)?;
        let mut handshake = Vec::new();
        let start = ConnectionStart {
            version_major: 0,
            version_minor: 9,
            server_properties: Default::default(),
            mechanisms: LongStr::from("PLAIN"),
            locales: LongStr::from("en_US"),
        };
        append(&mut handshake, 0, &start.into());
        let tune = ConnectionTune { channel_max: 9, frame_max: FRAME_MAX, heartbeat: 0 };
        append(&mut handshake, 0, &tune.into());
        append(&mut handshake, 0, &ConnectionOpenOk {}.into());
        let mut frames = FrameReader::for_client(FRAME_MAX);
        let failed = |end: &dyn fmt::Debug| io::Error::other(format!("{end:?}"));
        demux.read(&mut frames, &handshake).map_err(|end| failed(&end))?;
        let soon = Instant::now() + Duration::from_secs(1);
        let open = |is_confirming| {
            let create = |number| ChannelInner::new(&state, number, is_confirming);
            state.channels.reserve(9, soon, create).map_err(|none| failed(&none))
        };
        let channels = [open(false)?, open(true)?];
        channels.iter().for_each(|channel| channel.open_without_broker());
        let consumer = channels[0].consumers.add(ConsumerTerms::default());
        let content = Arc::new(Content::new("e", "k", "body"));
        for _ in 0..PUBLISHED {
            let _ = channels[1].confirms.issue(&content, true);
        }
        Ok(Subject { state, demux, frames, channels, consumer, _pipe: pipe, _peer: peer })
    }

    fn read(&mut self, mut octets: &[u8], cuts: &[u8]) -> Result<(), String> {
        let mut cuts = cuts.iter();
        while !octets.is_empty() {
            let cut = cuts.next().map_or(octets.len(), |cut| octets.len().min(usize::from(*cut)));
            let (mut piece, rest) = octets.split_at(cut);
            octets = rest;
            if let Some(mut place) = self.demux.lend_place(&self.frames) {
                let octets = place.octets();
                let (placed, rest) = piece.split_at(octets.len().min(piece.len()));
                octets[..placed.len()].copy_from_slice(placed);
                let returned = self.demux.return_place(&mut self.frames, place, placed.len());
                returned.map_err(describe)?;
                piece = rest;
            }
            if !piece.is_empty() {
                self.demux.read(&mut self.frames, piece).map_err(describe)?;
            }
        }
        Ok(())
    }
}

/// Removes the channels from the connection, which would keep each other alive.
impl Drop for Subject {
    fn drop(&mut self) {
        self.state.lose(carrot_core::Error::closed("connection"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_mean_the_same_in_any_cut() {
        let octets = sample();
        let whole = demultiplex(&octets, &[]);
        assert!(whole.contains("tag: DeliveryTag(1)") && whole.contains("Ok(Accepted)"), "{whole}");
        for size in [1, 2, 7, 100, 255] {
            assert_eq!(demultiplex(&octets, &vec![size; octets.len()]), whole, "pieces of {size}");
        }
        for end in [1, 20, 5005, octets.len() - 1] {
            let whole = demultiplex(&octets[..end], &[]);
            assert_eq!(demultiplex(&octets[..end], &vec![1; end]), whole, "up to {end}");
        }
    }

    #[test]
    fn confirms_count_although_a_later_frame_breaks_the_protocol() {
        let mut octets = Vec::new();
        append(
            &mut octets,
            2,
            &carrot_amqp_wire::BasicAck { delivery_tag: 1, multiple: false }.into(),
        );
        let violations: [&[u8]; 3] = [
            &[9, 0, 1, 0, 0, 0, 0, 0xce],
            &[3, 0, 1, 0, 0, 0, 1, 7, 0xce],
            &[1, 0, 0, 0xff, 0xff, 0xff, 0xff],
        ];
        for violation in violations {
            let seen = demultiplex(&[&octets[..], violation].concat(), &[]);
            assert!(seen.contains("a violation") && seen.contains("Ok(Accepted)"), "{seen}");
        }
    }
}
