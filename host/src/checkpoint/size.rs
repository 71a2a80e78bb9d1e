//! How many bytes a checkpoint or an artifact takes on disk, without writing it.

use std::io;

use safetensors::tensor::{Metadata, TensorInfo, View};
use sdk::{StateDict, TensorHandle};

use super::tensors::TensorFile;
use super::writer::by_part;

/// Bytes of a safetensors file: the length of its header, the header, the elements.
///
/// # Errors
/// When the library refuses the tensors, as it would when they are written.
pub fn tensors_bytes<'a>(
    tensors: impl IntoIterator<Item = (&'a str, &'a TensorHandle)>,
) -> io::Result<u64> {
    const ALIGNMENT: usize = 8;
    let mut views: Vec<_> =
        tensors.into_iter().map(|(name, tensor)| (name, TensorFile(tensor))).collect();
    // The library's order, which decides how many digits the offsets have.
    views.sort_by(|(a, x), (b, y)| y.dtype().cmp(&x.dtype()).then(a.cmp(b)));
    let mut end = 0;
    let infos = views.iter().map(|(name, view)| {
        let begin = end;
        end += view.data_len();
        let shape = view.shape().to_vec();
        let info = TensorInfo { dtype: view.dtype(), shape, data_offsets: (begin, end) };
        ((*name).to_owned(), info)
    });
    let infos = infos.collect();
    let header = Metadata::new(None, infos).map_err(|e| io::Error::other(e.to_string()))?;
    let header_bytes = serde_json::to_vec(&header)?.len().next_multiple_of(ALIGNMENT);
    Ok((size_of::<u64>() + header_bytes + end) as u64)
}

/// Bytes of the files that a manifest lists for a state.
///
/// # Errors
/// As [`tensors_bytes`].
pub fn state_bytes(state: &StateDict) -> io::Result<u64> {
    let mut bytes = serde_json::to_vec_pretty(&state.values)?.len() as u64;
    for (_, tensors) in by_part(state) {
        bytes += tensors_bytes(tensors)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Manifest, write};

    #[test]
    fn it_is_what_is_written() {
        let mut state = StateDict::default();
        for (name, n) in [("model/w", 3), ("model/much_longer", 1234), ("optimizer/m/w", 7)] {
            let tensor = TensorHandle::from_vec(vec![0.5f32; n], &[n]).unwrap();
            state.tensors.insert(name.into(), tensor);
        }
        let ids = TensorHandle::from_vec(vec![1u32; 5], &[5, 1]).unwrap();
        state.tensors.insert("model/ids".into(), ids);
        state.values.insert("t".into(), serde_json::json!({ "steps": 12 }));
        let directory = tempfile::tempdir().unwrap();
        let written = write(directory.path(), &state, Manifest::of_step(1), false).unwrap();
        assert_eq!(state_bytes(&state).unwrap(), written.bytes);
    }
}
