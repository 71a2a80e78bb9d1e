//! Rotary positions: pairs of channels turned by an angle.

use super::Out;

multiversion! {
    /// Rotates the pairs of one row by the angles of `cos` and `sin`; backwards with −`sin`.
    fn rope_row(x: &[f32], cos: &[f32], sin: &[f32], sign: f32, y: &mut Out) {
        let pairs = x.chunks_exact(2).zip(y.chunks_exact_mut(2));
        for ((x, y), (cos, sin)) in pairs.zip(cos.iter().zip(sin)) {
            let sin = sin * sign;
            y[0].write(x[0] * cos - x[1] * sin);
            y[1].write(x[0] * sin + x[1] * cos);
        }
    }

    /// Rotates the pairs of one row in place, as [`rope_row`].
    fn rope_in_place(x: &mut [f32], cos: &[f32], sin: &[f32], sign: f32) {
        for (x, (cos, sin)) in x.chunks_exact_mut(2).zip(cos.iter().zip(sin)) {
            let sin = sin * sign;
            let (a, b) = (x[0], x[1]);
            x[0] = a * cos - b * sin;
            x[1] = a * sin + b * cos;
        }
    }
}
