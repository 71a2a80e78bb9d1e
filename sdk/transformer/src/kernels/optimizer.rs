//! One pass of AdamW.

/// What one `AdamW` step needs to know, all in f32.
#[derive(Clone, Copy)]
pub struct AdamStep {
    /// β₁
    pub beta1: f32,
    /// β₂
    pub beta2: f32,
    /// 1 − β₁, rounded by itself
    pub one_minus_beta1: f32,
    /// 1 − β₂, rounded by itself
    pub one_minus_beta2: f32,
    /// ε
    pub eps: f32,
    /// lr / (1 − β₁ᵗ)
    pub step_size: f32,
    /// √(1 − β₂ᵗ)
    pub root_bias2: f32,
    /// 1 − lr·wd
    pub shrink: f32,
    /// What gradients are multiplied with: clipping
    pub grad_scale: f32,
}

multiversion! {
    /// One `AdamW` update in one pass.
    fn adamw(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], s: AdamStep) {
        let n = p.len();
        let (g, m, v) = (&g[..n], &mut m[..n], &mut v[..n]);
        for i in 0..n {
            let g = g[i] * s.grad_scale;
            let m_new = s.beta1 * m[i] + s.one_minus_beta1 * g;
            let v_new = s.beta2 * v[i] + s.one_minus_beta2 * g * g;
            m[i] = m_new;
            v[i] = v_new;
            p[i] = p[i] * s.shrink - s.step_size * m_new / (v_new.sqrt() / s.root_bias2 + s.eps);
        }
    }
}
