//! What all sections of a configuration have in common.

use schemars::{JsonSchema, schema_for};
use serde_json::Value;
use spectral::{
    BandDepths, Noise, Perturbation, ProjectionConfig, SensorJitter, SyntheticLab, TokenizerConfig,
    VirtualSensor,
};

fn section<T: JsonSchema>() -> Value {
    schema_for!(T).to_value()
}

#[test]
fn sections_describe_every_key_and_refuse_unknown_ones() {
    for schema in [
        section::<BandDepths>(),
        section::<Noise>(),
        section::<Perturbation>(),
        section::<ProjectionConfig>(),
        section::<SensorJitter>(),
        section::<SyntheticLab>(),
        section::<TokenizerConfig>(),
        section::<VirtualSensor>(),
    ] {
        let name = &schema["title"];
        assert_eq!(schema["additionalProperties"], false, "{name}");
        for (key, property) in schema["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{name}: {key}");
            assert!(!sdk::RESERVED_KEYS.contains(&key.as_str()), "{name}: {key} is the host's");
        }
    }
}
