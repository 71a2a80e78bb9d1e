//! The host's side: a phase object of a plugin, with plain types and errors.
//!
//! Host and the tests of authors drive a phase through this, so both go the same way.

use std::sync::Arc;

use abi_stable::std_types::{RArc, RResult, RStr, RVec};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::types::{
    Fault, PhaseBox, PluginRoot_Ref, RawArtifact, RawContext, Services, Services_TO, ServicesArc,
};
use crate::artifact::Artifact;
use crate::capability;
use crate::device::DeviceContext;
use crate::error::Error;
use crate::generate::{ExportRequest, GenerateReply, GenerateRequest};
use crate::stages::StageTimes;
use crate::state::StateDict;
use crate::tensor::TensorHandle;
use crate::trainer::{Evaluation, Forecast, Metrics, Schedule, StepReport};

/// What a plugin tells the host while it works.
pub trait HostServices: Send + Sync {
    /// Something happened: `progress`, `log` or `text`, or a kind that a newer SDK knows.
    fn emit(&self, kind: &str, payload: Value);
    /// Whether the run was asked to stop.
    fn is_cancelled(&self) -> bool;
}

/// An artifact that several phases may be given: its tensors are shared, not copied.
#[derive(Clone, Debug)]
pub struct SharedArtifact {
    /// The phase that made it.
    pub phase: String,
    /// Name within the phase.
    pub name: String,
    /// How to read it.
    pub kind: String,
    /// Its settings.
    pub settings: Value,
    /// Its tensors.
    pub tensors: Vec<(String, Arc<TensorHandle>)>,
}

impl SharedArtifact {
    /// Takes over what a phase handed on.
    pub fn new(phase: String, artifact: Artifact) -> Self {
        let tensors = artifact.tensors.into_iter();
        Self {
            phase,
            name: artifact.name,
            kind: artifact.kind,
            settings: artifact.settings,
            tensors: tensors.map(|(name, tensor)| (name, Arc::new(tensor))).collect(),
        }
    }

    fn to_raw(&self) -> RawArtifact {
        let tensors = self.tensors.iter();
        let artifact = Artifact {
            name: self.name.clone(),
            kind: self.kind.clone(),
            settings: self.settings.clone(),
            tensors: tensors.map(|(name, t)| (name.clone(), TensorHandle::share(t))).collect(),
        };
        RawArtifact::new(&self.phase, artifact)
    }
}

fn all_to_raw(artifacts: &[SharedArtifact]) -> RVec<RawArtifact> {
    artifacts.iter().map(SharedArtifact::to_raw).collect()
}

fn all_from_raw(raw: RVec<RawArtifact>) -> Result<Vec<SharedArtifact>, Error> {
    raw.into_iter()
        .map(|raw| {
            raw.into_artifact().map(|(phase, artifact)| SharedArtifact::new(phase, artifact))
        })
        .collect()
}

/// What `prepare` tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prepared {
    /// How long, and what is due how often.
    pub schedule: Schedule,
    /// Facts to show.
    pub facts: Map<String, Value>,
    /// What the phase will need.
    #[serde(default)]
    pub forecast: Forecast,
}

/// A phase of a pipeline, in its plugin.
pub struct PhaseClient {
    raw: PhaseBox,
}

impl PhaseClient {
    /// Creates the phase that `plugin` registered under `phase`, as `name` in the pipeline.
    ///
    /// # Errors
    /// When the section can't be read as the plugin's configuration.
    pub fn create(
        root: PluginRoot_Ref,
        plugin: &str,
        phase: &str,
        spec: &PhaseSpec<'_>,
    ) -> Result<Self, Error> {
        let services = Services_TO::from_ptr(
            RArc::new(Lent(Arc::clone(&spec.services))),
            abi_stable::sabi_trait::TD_Opaque,
        );
        let services: ServicesArc = services;
        let context = RawContext::new(plugin, spec.name, spec.seed, spec.device, services);
        let config = spec.section.to_string();
        let raw = plain(root.create()(phase.into(), config.as_str().into(), &context))?;
        Ok(Self { raw })
    }

    /// The section with all defaults.
    ///
    /// # Errors
    /// Those of the plugin.
    pub fn resolved(&self) -> Result<Value, Error> {
        Ok(serde_json::from_str(&plain(self.raw.resolved())?)?)
    }

    /// The plugin's own findings about the section.
    ///
    /// # Errors
    /// Those of the plugin, when it could not even check.
    pub fn check(&self, upstream: &[SharedArtifact]) -> Result<Vec<Error>, Error> {
        Ok(serde_json::from_str(&plain(self.raw.check(all_to_raw(upstream)))?)?)
    }

    /// What the phase will hand on, without tensors.
    ///
    /// # Errors
    /// Those of the plugin.
    pub fn promises(&self, upstream: &[SharedArtifact]) -> Result<Vec<SharedArtifact>, Error> {
        all_from_raw(plain(self.raw.promises(all_to_raw(upstream)))?)
    }

    /// Builds model, data and optimizer.
    ///
    /// # Errors
    /// Those of the plugin.
    pub fn prepare(&mut self, given: &[SharedArtifact]) -> Result<Prepared, Error> {
        Ok(serde_json::from_str(&plain(self.raw.prepare(all_to_raw(given)))?)?)
    }

    /// One optimizer update.
    ///
    /// # Errors
    /// Those of the plugin.
    pub fn step(&mut self, step: u64) -> Result<StepReport, Error> {
        plain(self.raw.step(step)).map(Into::into)
    }

    /// Where the time of the steps so far went; `None` from a plugin whose SDK doesn't tell.
    pub fn stages(&mut self) -> Option<StageTimes> {
        let reply = self.call(capability::STAGES, "null", &[]).ok()?;
        serde_json::from_str(&reply).ok()
    }

    /// Measures the held-out data.
    ///
    /// # Errors
    /// Those of the plugin.
    pub fn evaluate(&mut self, when: Evaluation) -> Result<Metrics, Error> {
        let when = serde_json::to_string(&when)?;
        let raw = plain(self.raw.evaluate(RStr::from(when.as_str())))?;
        Ok(raw.into_iter().map(|m| (m.name.into_string(), m.value)).collect())
    }

    /// The state to checkpoint. Its tensors view live memory: write them before the next step.
    ///
    /// # Errors
    /// Those of the plugin.
    pub fn save(&mut self) -> Result<StateDict, Error> {
        plain(self.raw.save())?.try_into()
    }

    /// Puts a saved state in place.
    ///
    /// # Errors
    /// When the state is not one of this trainer with these settings.
    pub fn restore(&mut self, state: StateDict) -> Result<(), Error> {
        plain(self.raw.restore(state.try_into()?))
    }

    /// What the phase hands on.
    ///
    /// # Errors
    /// Those of the plugin.
    pub fn artifacts(&mut self) -> Result<Vec<SharedArtifact>, Error> {
        all_from_raw(plain(self.raw.artifacts())?)
    }

    /// Text from the artifacts of a finished phase. The first request opens the model; later ones
    /// need bring no artifacts.
    ///
    /// # Errors
    /// Those of the plugin.
    pub fn generate(
        &mut self,
        given: &[SharedArtifact],
        request: &GenerateRequest,
    ) -> Result<GenerateReply, Error> {
        let request = serde_json::to_string(request)?;
        let reply = self.call(capability::GENERATE, &request, given)?;
        Ok(serde_json::from_str(&reply)?)
    }

    /// Writes the artifacts of a finished phase in a format of the plugin's.
    ///
    /// # Errors
    /// Those of the plugin.
    pub fn export(
        &mut self,
        given: &[SharedArtifact],
        request: &ExportRequest,
    ) -> Result<(), Error> {
        let capability = format!("{}{}", capability::EXPORT, request.format);
        self.call(&capability, &serde_json::to_string(request)?, given).map(drop)
    }

    /// Asks for a capability by name, with JSON in and out.
    ///
    /// # Errors
    /// Those of the plugin, and when it has no such capability.
    pub fn call(
        &mut self,
        capability: &str,
        request: &str,
        given: &[SharedArtifact],
    ) -> Result<String, Error> {
        let reply = self.raw.call(capability.into(), request.into(), all_to_raw(given));
        Ok(plain(reply)?.into_string())
    }
}

/// What a phase is created from.
pub struct PhaseSpec<'a> {
    /// Its name in the pipeline.
    pub name: &'a str,
    /// Its section of the configuration.
    pub section: &'a Value,
    /// The run's seed.
    pub seed: u64,
    /// Where it computes.
    pub device: &'a DeviceContext,
    /// The way back to the host.
    pub services: Arc<dyn HostServices>,
}

fn plain<T>(result: RResult<T, Fault>) -> Result<T, Error> {
    result.into_result().map_err(Fault::into_error)
}

#[derive(Clone)]
struct Lent(Arc<dyn HostServices>);

impl Services for Lent {
    fn emit(&self, kind: RStr<'_>, payload: RStr<'_>) {
        let payload = serde_json::from_str(payload.as_str())
            .unwrap_or_else(|_| Value::from(payload.as_str()));
        self.0.emit(kind.as_str(), payload);
    }

    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}
