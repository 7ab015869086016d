//! Errors of the system told from damage, and the second opinion.

use super::*;

/// Refuses once, with this error.
struct Refusing(Option<io::Error>, Vec<u8>);

impl Write for Refusing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.take().map_or_else(|| self.1.write(bytes), Err)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_file_that_ends_too_early_is_damaged_and_one_that_cannot_be_read_is_not() {
    for (kind, code) in [(io::ErrorKind::UnexpectedEof, "damaged-zip"), (io::ErrorKind::StorageFull, "io")] {
        let error = zip::result::ZipError::Io(kind.into());
        assert_eq!(damaged(Path::new("model.pt"), &error).code(), code);
    }
}

/// A file of two entries that are compressed.
fn small() -> Arc<SourceFile> {
    let deflated = zip::write::SimpleFileOptions::default();
    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for name in ["a/data.pkl", "a/version"] {
        zip.start_file(name, deflated.compression_method(zip::CompressionMethod::Deflated)).unwrap();
        zip.write_all(b"bytes").unwrap();
    }
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&zip.finish().unwrap().into_inner()).unwrap();
    SourceFile::from_file(Path::new("model.pt"), file).unwrap()
}

#[test]
fn a_disk_that_is_full_does_not_pass_for_a_damaged_entry() {
    let mut archive = Archive::open(&small()).unwrap();
    let record = archive.record("data.pkl").unwrap().clone();
    for (refuses, code) in [(None, None), (Some(io::ErrorKind::StorageFull.into()), Some("io"))] {
        let inflated = archive.inflate(&record, &mut Refusing(refuses, Vec::new()));
        assert_eq!(inflated.err().map(|error| error.code()), code);
    }
}

#[test]
fn the_zip_crate_has_to_see_the_same_entries() {
    let file = small();
    let (headers, _) = directory::read(&mut Positioned::new(&file)).unwrap();
    let refusal = |change: &dyn Fn(&mut Vec<Header>)| {
        let mut headers = headers.clone();
        change(&mut headers);
        second_opinion(Positioned::new(&file), &headers).err().map(|error| error.code())
    };
    assert_eq!(refusal(&|_| ()), None);
    assert_eq!(refusal(&|headers| headers.truncate(1)), Some("damaged-zip"));
    let changes: [&dyn Fn(&mut Header); 5] = [
        &|header| header.name.push('x'),
        &|header| header.at += 1,
        &|header| header.compressed += 1,
        &|header| header.size += 1,
        &|header| header.crc += 1,
    ];
    for change in changes {
        assert_eq!(refusal(&|headers| change(&mut headers[1])), Some("bad-record"));
    }
}

#[test]
fn an_interrupted_write_goes_on_and_another_error_is_the_writers() {
    for (kind, goes_on) in [(io::ErrorKind::Interrupted, true), (io::ErrorKind::StorageFull, false)] {
        let mut into = Refusing(Some(kind.into()), Vec::new());
        let sum = crc32fast::Hasher::new();
        let mut summed = Summed { into: &mut into, sum, count: 0, refused: None };
        assert_eq!(io::copy(&mut &b"bytes"[..], &mut summed).is_ok(), goes_on);
        assert_eq!(summed.refused.map(|error| error.kind()), (!goes_on).then_some(kind));
        assert_eq!(
            (summed.count, into.1.as_slice()),
            if goes_on { (5, &b"bytes"[..]) } else { (0, &b""[..]) }
        );
    }
}
