//! Passes what the broker sends to the channel that it is for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use carrot_amqp_wire::{
    BodyPart, ConnectionClose as CloseMethod, Frame, FrameKind, FramePart, FrameReader, Method,
};
use carrot_core::Error;

use super::channels::{BodyPlace, ChannelEnd, Confirm, Violation};
use super::close_method::ConnectionClose;
use super::frame_timer::FrameTimer;
use super::handshake::{self, Handshake, HandshakeStep};
use super::read_end::ReadEnd;
use super::secret_updates::UPDATE_SECRET;
use super::state::ConnectionState;
use crate::error::words;

/// The least number of octets that are read to their place. Fewer are copied in less time.
const MIN_PLACE: usize = if cfg!(any(test, fuzzing)) { 16 } else { 16 << 10 };
/// How long the reader pauses at a time on a connection without heartbeats.
const PAUSE_WITHOUT_HEARTBEATS: Duration = Duration::from_secs(10);
/// The heartbeats that amiquip is shown in each interval.
const SIGNS_PER_INTERVAL: u32 = 4;

/// The part of the reader that knows what frames mean.
pub(crate) struct Demux {
    state: Arc<ConnectionState>,
    handshake: Handshake,
    /// The channel of the last frame.
    current: Option<(u16, Arc<dyn ChannelEnd>)>,
    /// Confirms that were read and not passed on, by channel.
    confirms: Vec<(u16, Confirm)>,
    /// The time at which amiquip was last shown that the broker is alive.
    shown_alive: Instant,
    show_every: Option<Duration>,
    frame_timer: FrameTimer,
    closed: Option<ConnectionClose>,
}

impl Demux {
    pub(crate) fn new(state: Arc<ConnectionState>, handshake: Handshake) -> Demux {
        Demux {
            state,
            handshake,
            current: None,
            confirms: Vec::new(),
            shown_alive: Instant::now(),
            show_every: None,
            frame_timer: FrameTimer::default(),
            closed: None,
        }
    }

    pub(crate) fn state(&self) -> &Arc<ConnectionState> {
        &self.state
    }

    pub(crate) fn step(&self) -> HandshakeStep {
        self.handshake.step
    }

    /// Returns the connection.close of the broker, if one has arrived.
    pub(crate) fn take_close(&mut self) -> Option<ConnectionClose> {
        self.closed.take()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Takes octets that have arrived. `frames` has read all earlier octets.
    pub(crate) fn read(&mut self, frames: &mut FrameReader, octets: &[u8]) -> Result<(), ReadEnd> {
        self.arrived()?;
        let result = self.read_frames(frames, octets);
        // Confirms count, also if a later frame breaks the protocol.
        self.pass_confirms();
        result
    }

    fn read_frames(&mut self, frames: &mut FrameReader, mut octets: &[u8]) -> Result<(), ReadEnd> {
        loop {
            match frames.read(&mut octets) {
                Ok(Some(part)) => self.take(part)?,
                Ok(None) => return Ok(()),
                Err(error) => return Err(Violation::from(error).into()),
            }
            if self.step() == HandshakeStep::Open {
                frames.set_frame_max(self.state.frame_max());
            }
        }
    }

    /// Lends the place of the rest of a large body frame, to be read into it.
    pub(crate) fn lend_place(&mut self, frames: &FrameReader) -> Option<BodyPlace> {
        let (number, missing) = frames.missing_body().filter(|(_, size)| *size >= MIN_PLACE)?;
        if self.is_closed() {
            return None;
        }
        self.channel(number)?.lend_place(missing)
    }

    /// Takes back the place that was lent, after `count` octets were read into it.
    pub(crate) fn return_place(
        &mut self,
        frames: &mut FrameReader,
        place: BodyPlace,
        count: usize,
    ) -> Result<(), ReadEnd> {
        if count > 0 {
            self.arrived()?;
        }
        if let Some((_, channel)) = &self.current {
            channel.return_place(place, count);
        }
        frames.skip_body(count).map_err(|error| Violation::from(error).into())
    }

    /// Returns how often amiquip is shown that the broker is alive.
    pub(crate) fn show_interval(&self) -> Duration {
        self.show_every.unwrap_or(PAUSE_WITHOUT_HEARTBEATS)
    }

    /// Notes that nothing was read for a while, because the program does not keep up.
    pub(crate) fn paused(&mut self) -> Result<(), Violation> {
        let now = Instant::now();
        self.frame_timer.paused(now);
        self.shown_alive = now;
        if self.state.control.heartbeat() { Ok(()) } else { Err(overfull()) }
    }

    /// Notes that octets have arrived.
    fn arrived(&mut self) -> Result<(), Violation> {
        if !self.frame_timer.arrived(Instant::now()) {
            return Err(Violation { code: 501, text: "a frame takes too long".into() });
        }
        self.show_alive()
    }

    /// Shows amiquip that octets have arrived, which need not complete a frame.
    pub(crate) fn show_alive(&mut self) -> Result<(), Violation> {
        let now = Instant::now();
        if let Some(every) = self.show_every
            && now - self.shown_alive >= every
        {
            self.shown_alive = now;
            if !self.state.control.heartbeat() {
                return Err(overfull());
            }
        }
        Ok(())
    }

    /// Takes a part of what was read.
    fn take(&mut self, part: FramePart<'_>) -> Result<(), ReadEnd> {
        if !matches!(part, FramePart::Body(BodyPart { ends_frame: false, .. })) {
            self.frame_timer.ended();
        }
        match part {
            FramePart::ProtocolHeader(_) => {
                let other = "another version of AMQP".to_string();
                Err(Violation { code: 501, text: other }.into())
            }
            FramePart::Frame(frame) if frame.channel == 0 => self.take_control(&frame),
            FramePart::Body(BodyPart { channel: 0, .. }) => {
                Err(Violation::unexpected_frame("a body on channel 0").into())
            }
            _ if self.is_closed() => Ok(()),
            FramePart::Frame(frame) => Ok(self.take_frame(&frame)?),
            FramePart::Body(part) => match self.channel(part.channel) {
                Some(channel) => Ok(channel.body(&part)?),
                None => Ok(()),
            },
        }
    }

    /// Returns a channel, or `None` for one that is no longer open.
    fn channel(&mut self, number: u16) -> Option<&Arc<dyn ChannelEnd>> {
        if self.current.as_ref().is_none_or(|(current, _)| *current != number) {
            self.current = self.state.channels.find(number).map(|channel| (number, channel));
        }
        self.current.as_ref().map(|(_, channel)| channel)
    }

    fn take_frame(&mut self, frame: &Frame<'_>) -> Result<(), Violation> {
        if frame.kind != FrameKind::Method {
            return match self.channel(frame.channel) {
                Some(channel) => channel.header(frame.payload),
                None => Ok(()),
            };
        }
        let method = Method::read(frame.payload)?;
        match method {
            Method::BasicAck(ack) => {
                let confirm =
                    Confirm { tag: ack.delivery_tag, multiple: ack.multiple, refused: false };
                self.confirms.push((frame.channel, confirm));
                return Ok(());
            }
            Method::BasicNack(nack) => {
                let confirm =
                    Confirm { tag: nack.delivery_tag, multiple: nack.multiple, refused: true };
                self.confirms.push((frame.channel, confirm));
                return Ok(());
            }
            Method::ChannelClose(_) | Method::ChannelCloseOk => self.pass_confirms(),
            _ => {}
        }
        if let Some(channel) = self.channel(frame.channel) {
            channel.method(&method)?;
        }
        if matches!(method, Method::ChannelClose(_) | Method::ChannelCloseOk) {
            // The number may be free now, and the next channel may take it.
            self.current = None;
        }
        Ok(())
    }

    /// Passes on the confirms that were read. Messages that are published because of them leave as
    /// one.
    fn pass_confirms(&mut self) {
        if self.confirms.is_empty() {
            return;
        }
        let state = Arc::clone(&self.state);
        let read = std::mem::take(&mut self.confirms);
        state.writer.coalesce(|| {
            let mut expected = 0_usize;
            for one_channel in read.chunk_by(|(one, _), (other, _)| one == other) {
                let number = one_channel.first().map_or(0, |(number, _)| *number);
                let confirms: Vec<Confirm> =
                    one_channel.iter().map(|(_, confirm)| *confirm).collect();
                if let Some(channel) = self.channel(number) {
                    expected = expected.saturating_add(channel.confirm(&confirms));
                }
            }
            expected
        });
        self.confirms = read;
        self.confirms.clear();
    }

    fn give(&self, frame: &[u8]) -> Result<(), Violation> {
        if self.state.control.give(frame) { Ok(()) } else { Err(overfull()) }
    }

    fn take_control(&mut self, frame: &Frame<'_>) -> Result<(), ReadEnd> {
        match frame.kind {
            FrameKind::Method => {}
            // amiquip is shown heartbeats as octets arrive.
            FrameKind::Heartbeat => return Ok(()),
            FrameKind::Header | FrameKind::Body => {
                return Err(Violation::unexpected_frame("content on channel 0").into());
            }
        }
        let is_handshake = self.handshake.step != HandshakeStep::Done;
        let method = match Method::read(frame.payload) {
            Ok(method) => method,
            Err(error) if is_handshake => return Err(ReadEnd::Refused(error.into())),
            Err(error) => return Err(Violation::from(error).into()),
        };
        match method {
            _ if self.is_closed() => Ok(()),
            Method::ConnectionClose(close) => self.closed_by_broker(&close),
            _ if is_handshake => self.shake_hands(&method),
            Method::ConnectionBlocked(blocked) => {
                self.state.block(words(&blocked.reason.to_string()));
                Ok(())
            }
            Method::ConnectionUnblocked => {
                self.state.unblock();
                Ok(())
            }
            Method::ConnectionCloseOk => self.take_close_ok(&method),
            Method::ConnectionUpdateSecretOk if self.state.secret_updates.answer() => Ok(()),
            other => Err(Violation::command_invalid(other.name()).into()),
        }
    }

    fn shake_hands(&mut self, method: &Method<'_>) -> Result<(), ReadEnd> {
        let frame = self.handshake.receive(method).map_err(ReadEnd::Refused)?;
        if self.handshake.step == HandshakeStep::Tune {
            let _ = self.state.features.set(self.handshake.features);
        }
        if let Some(tuned) = self.handshake.tuned
            && self.state.tuned.set(tuned).is_ok()
            && tuned.heartbeat > 0
        {
            let interval = Duration::from_secs(tuned.heartbeat.into());
            self.show_every = Some(interval / SIGNS_PER_INTERVAL);
        }
        Ok(self.give(&frame)?)
    }

    fn take_close_ok(&self, method: &Method<'_>) -> Result<(), ReadEnd> {
        let frame = handshake::frame(method).map_err(ReadEnd::Refused)?;
        if self.state.control.close_ok(&frame) {
            return Ok(());
        }
        Err(Violation::command_invalid(method.name()).into())
    }

    /// Handles connection.close: first the suspects, then every channel, then the answer.
    fn closed_by_broker(&mut self, close: &CloseMethod<'_>) -> Result<(), ReadEnd> {
        self.pass_confirms();
        let text = words(&close.reply_text.to_string());
        let named = (close.class_id, close.method_id);
        let method = Some(named).filter(|(class, _)| *class != 0);
        let reason = ConnectionClose { code: close.reply_code, text, method };
        let close_ok = handshake::frame(&Method::ConnectionCloseOk).map_err(ReadEnd::Refused)?;
        if self.handshake.step != HandshakeStep::Done {
            self.state.writer.hand_over(close_ok);
            return Err(ReadEnd::Closed(reason));
        }
        self.state.calls.closed_by_broker(&reason, &self.state.channels.unconfirmed());
        self.state.writer.seal();
        if reason.method == Some(UPDATE_SECRET) && reason.is_hard() {
            let (code, reason) = (reason.code, reason.text.clone());
            self.state.secret_updates.refuse(Error::HardError { code, reason });
        }
        self.state.lose(Error::disconnected(reason.to_string()));
        // The text is repeated as UTF-8, which amiquip requires.
        let lossy = close.reply_text.to_string();
        let repeated = CloseMethod { reply_text: short(&lossy).into(), ..*close };
        let close = handshake::frame(&repeated.into()).map_err(ReadEnd::Refused)?;
        if !self.state.control.closed_by_broker(&close, &close_ok) {
            self.state.hand_over(close_ok);
        }
        self.closed = Some(reason);
        Ok(())
    }
}

/// amiquip does not keep up with the frames of channel 0.
fn overfull() -> Violation {
    Violation::resource_error("too many frames on channel 0 at once")
}

/// Returns the longest start of a text that fits a short string.
fn short(text: &str) -> &str {
    let end = (0..=text.len().min(255)).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}
