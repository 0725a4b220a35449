//! The codec without sockets. Only fuzz targets and tests compile it.

use crate::content::from_message;
use crate::wire::command::{CommandBody, OpenWireCommand};
use crate::wire::frame_reader::OpenWireFrames;
use crate::wire::property_map::PropertyMap;

/// A small limit, which short inputs exceed.
const LIMIT: usize = 4096;

/// The commands of a stream, as the codec understands them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "for fuzz targets")]
pub struct OpenWireTranscript {
    /// The commands, as text.
    pub commands: Vec<String>,
    /// The reason of the end.
    pub error: Option<String>,
}

/// Reads a stream, in parts of at most `part` octets. Also converts its messages to content.
pub fn openwire_transcript(octets: &[u8], part: usize) -> OpenWireTranscript {
    let mut transcript = OpenWireTranscript::default();
    let mut frames = OpenWireFrames::new(LIMIT);
    for mut octets in octets.chunks(part.max(1)) {
        loop {
            let read = frames.next(&mut octets, OpenWireCommand::read);
            match read.and_then(Option::transpose) {
                Ok(None) => break,
                Ok(Some(command)) => transcript.commands.push(shown(command)),
                Err(error) => {
                    transcript.error = Some(error.to_string());
                    return transcript;
                }
            }
        }
    }
    transcript
}

fn shown(command: OpenWireCommand) -> String {
    let text = format!("{command:?}");
    let message = match command {
        OpenWireCommand::Message(message) => Some(message),
        OpenWireCommand::Command(_, CommandBody::Dispatch(dispatch)) => dispatch.message,
        _ => None,
    };
    message.map_or(text.clone(), |message| format!("{text} {:?}", from_message(*message)))
}

/// Reads a frame without its size, writes the command, and reads it again. Returns both readings;
/// `None` if the frame is malformed.
pub fn reread_command(frame: &[u8]) -> Option<[String; 2]> {
    let first = OpenWireCommand::read(frame).ok()?;
    let mut written = Vec::new();
    first.write_frame(&mut written);
    let second = OpenWireCommand::read(written.get(4..).unwrap_or_default());
    Some([
        format!("{first:?}"),
        second.map_or_else(|error| error.to_string(), |it| format!("{it:?}")),
    ])
}

/// Reads a property map, writes it, and reads it again. Returns both readings; `None` if the map is
/// malformed.
pub fn reread_properties(octets: &[u8]) -> Option<[String; 2]> {
    let first = PropertyMap::read(octets, "a map").ok()?;
    let mut written = Vec::new();
    first.write(&mut written);
    let second = PropertyMap::read(&written, "a map");
    Some([
        format!("{first:?}"),
        second.map_or_else(|error| error.to_string(), |it| format!("{it:?}")),
    ])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use crate::wire::recorded_tests::{ALL, octets};

    /// Changes some octets of a recorded frame.
    fn damaged(random: &mut fastrand::Rng) -> Vec<u8> {
        let mut frame = octets(ALL[random.usize(..ALL.len())]);
        for _ in 0..random.usize(0..6) {
            let place = random.usize(..frame.len());
            frame[place] = random.u8(..);
        }
        frame.truncate(random.usize(1..=frame.len()).max(frame.len() / 2));
        frame
    }

    #[test]
    fn damaged_frames_are_refused_or_read_the_same_again() {
        let mut random = fastrand::Rng::with_seed(61_616);
        let mut read = 0;
        for _ in 0..20_000 {
            let frame = damaged(&mut random);
            if let Some([first, second]) = reread_command(&frame) {
                assert_eq!(first, second, "{frame:?}");
                read += 1;
            }
        }
        assert!(read > 1000, "{read}");
    }

    #[test]
    fn random_property_maps_are_refused_or_read_the_same_again() {
        let mut random = fastrand::Rng::with_seed(5);
        let mut read = 0;
        for _ in 0..50_000 {
            let mut map = vec![0, 0, 0, random.u8(1..3), 0, 1, b'a', random.u8(..15)];
            map.extend((0..random.usize(..24)).map(|_| random.u8(..4)));
            if let Some([first, second]) = reread_properties(&map) {
                assert_eq!(first, second, "{map:?}");
                read += 1;
            }
        }
        assert!(read > 1000, "{read}");
    }

    #[test]
    fn stream_is_read_the_same_in_parts_of_any_size() {
        let mut stream = Vec::new();
        for frame in ALL.map(octets) {
            stream.extend(u32::try_from(frame.len()).unwrap().to_be_bytes());
            stream.extend(frame);
        }
        let whole = openwire_transcript(&stream, stream.len());
        assert_eq!((whole.commands.len(), &whole.error), (ALL.len(), &None));
        for part in [1, 2, 3, 7, 100] {
            assert_eq!(openwire_transcript(&stream, part), whole);
        }
    }
}
