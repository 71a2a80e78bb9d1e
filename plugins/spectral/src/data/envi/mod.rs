//! ENVI files: spectral libraries (`.sli`) and image cubes, each with a header (`.hdr`).
//!
//! Either file of the two may be named. All data types but complex numbers are read, in both byte
//! orders and all three orders of an image. What is faulty is told with file and line, never passed
//! over: a file whose size doesn't fit its header has other numbers than it says.

mod cube;
mod entries;
mod fields;
mod files;
mod header;
mod library;
mod sample;

pub use cube::{Cube, Pixels, Window};
pub use header::{Header, Interleave};
pub use library::EnviLibrary;
pub use sample::{ByteOrder, Real, SampleType};
