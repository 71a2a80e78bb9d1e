//! The layout of everything that crosses, written down: a change of it is a change of the SDK's
//! `major.minor`, and shows here before any author meets it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use abi_stable::StableAbi;
use abi_stable::type_layout::TypeLayout;

use super::{
    Fault, PhaseBox, PluginRoot_Ref, RawArtifact, RawContext, RawMetric, RawNamedTensor, RawState,
    RawStep, ServicesArc,
};

/// Types whose inside is `abi_stable`'s own affair; its version is part of the boundary's name.
fn is_foreign(layout: &TypeLayout) -> bool {
    layout.package().as_str() != "sdk"
}

/// A type and all that it is made of, each once: name, size, alignment, and fields with their types.
fn write(layout: &'static TypeLayout, seen: &mut BTreeSet<String>, out: &mut String) {
    let name = layout.full_type().to_string();
    if !seen.insert(format!("{:?} {name}", layout.mod_path())) {
        return;
    }
    let mut fields = layout.get_fields().map(|fields| fields.to_vec()).unwrap_or_default();
    // Tables of functions stand behind pointers.
    fields.extend(layout.phantom_fields().to_vec());
    if !is_foreign(layout) {
        let _ = writeln!(out, "{name}: {} bytes, aligned to {}", layout.size(), layout.alignment());
        for field in &fields {
            let of = field.layout();
            let _ = writeln!(out, "  {}: {} ({})", field.name(), of.full_type(), of.size());
            for function in field.function_range() {
                let signature = function.to_string();
                let _ = writeln!(out, "    {}", signature.lines().next().unwrap_or_default());
            }
        }
    }
    for field in &fields {
        write(field.layout(), seen, out);
    }
}

/// On 64-bit machines, which all have the same.
#[test]
#[cfg(target_pointer_width = "64")]
fn what_crosses_has_the_layout_that_is_written_down() {
    let (mut text, mut seen) = (String::new(), BTreeSet::new());
    // What functions take and return isn't reached from the root.
    let layouts = [
        PluginRoot_Ref::LAYOUT,
        PhaseBox::LAYOUT,
        ServicesArc::LAYOUT,
        Fault::LAYOUT,
        RawContext::LAYOUT,
        RawArtifact::LAYOUT,
        RawState::LAYOUT,
        RawStep::LAYOUT,
        RawNamedTensor::LAYOUT,
        RawMetric::LAYOUT,
    ];
    for layout in layouts {
        write(layout, &mut seen, &mut text);
    }
    insta::assert_snapshot!(text, @"
    PluginRoot: 16 bytes, aligned to 8
      describe: AFunctionPointer (8)
        fn()->RResult
      create: AFunctionPointer (8)
        fn(,,,: RStr<'a>, param_1: RStr<'a>, param_2: &'a  RawContext )->RResult
    Phase_TO: 24 bytes, aligned to 8
      obj: RObject<'lt> (24)
      _marker: UnsafeIgnoredType (0)
    VTable: 88 bytes, aligned to 8
      _sabi_tys: PhantomData<(), RBox> (0)
      _sabi_vtable: PrefixRef<'a, RObjectVtable> (8)
      resolved: AFunctionPointer (8)
        unsafe fn(_self,: RRef<'a>)->RResult
      check: AFunctionPointer (8)
        unsafe fn(_self,param_0,: RRef<'a>, param_1: RVec)->RResult
      promises: AFunctionPointer (8)
        unsafe fn(_self,param_0,: RRef<'a>, param_1: RVec)->RResult
      prepare: AFunctionPointer (8)
        unsafe fn(_self,param_0,: RMut<'a>, param_1: RVec)->RResult
      step: AFunctionPointer (8)
        unsafe fn(_self,param_0,: RMut<'a>, param_1: u64)->RResult
      evaluate: AFunctionPointer (8)
        unsafe fn(_self,param_0,: RMut<'a>, param_1: RStr<'a>)->RResult
      save: AFunctionPointer (8)
        unsafe fn(_self,: RMut<'a>)->RResult
      restore: AFunctionPointer (8)
        unsafe fn(_self,param_0,: RMut<'a>, param_1: RawState)->RResult
      artifacts: AFunctionPointer (8)
        unsafe fn(_self,: RMut<'a>)->RResult
      call: AFunctionPointer (8)
        unsafe fn(_self,param_0,param_1,param_2,: RMut<'a>, param_1: RStr<'a>, param_2: RStr<'a>, param_3: RVec)->RResult
    Phase_Interface: 0 bytes, aligned to 1
      field_0: PhantomData<()> (0)
    Services_TO: 24 bytes, aligned to 8
      obj: RObject<'lt> (24)
      _marker: UnsafeIgnoredType (0)
    Fault: 40 bytes, aligned to 8
      panicked: bool (1)
      error: RString (32)
    RawContext: 120 bytes, aligned to 8
      plugin: RString (32)
      name: RString (32)
      seed: u64 (8)
      device_kind: u32 (4)
      ordinal: u32 (4)
      dtype: u32 (4)
      amp_dtype: u32 (4)
      threads: u32 (4)
      deterministic: bool (1)
      services: Services_TO (24)
    RawArtifact: 160 bytes, aligned to 8
      phase: RString (32)
      name: RString (32)
      kind: RString (32)
      settings: RString (32)
      tensors: RVec (32)
    RawState: 64 bytes, aligned to 8
      values: RString (32)
      tensors: RVec (32)
    RawStep: 48 bytes, aligned to 8
      loss: f64 (8)
      units: u64 (8)
      metrics: RVec (32)
    RawNamedTensor: 128 bytes, aligned to 8
      name: RString (32)
      tensor: RawTensor (96)
    RawTensor: 96 bytes, aligned to 8
      dtype: u32 (4)
      shape: RVec (32)
      strides: RVec (32)
      data: *const c_void  (8)
      owner: *mut c_void  (8)
      deleter: Option<AFunctionPointer> (8)
        unsafe fn(,: *mut c_void )->()
    RawMetric: 40 bytes, aligned to 8
      name: RString (32)
      value: f64 (8)
    ");
}
