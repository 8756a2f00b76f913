//! Public keys (and shared secrets) that signatures are checked with.
//!
//! JWK and PEM are read by the crate `jsonwebtoken`, signatures are checked by `ring`.
//!
//! **Invariants**: a key knows the algorithms it is good for, by its type, by its own `alg`, and by the configuration; no
//! other is ever tried with it, whatever a token says. So a public key is never used as an HMAC secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use ring::{hmac, signature};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Most keys of one issuer.
const MAX_KEYS: usize = 64;

/// Shortest shared secret, in bytes: the length of the hash (RFC 7518, 3.2).
const MIN_SECRET: usize = 32;

#[derive(Debug, Clone)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    RsaDer(Vec<u8>),
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
    Secret(Secret),
}

#[derive(Clone)]
struct Secret(Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// One key.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    id: Option<String>,
    material: Material,
    algorithms: Vec<Algorithm>,
}

impl Key {
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Whether the signature of the message is by this key, with this algorithm.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        use signature::{
            ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
            RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
            RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
        };

        if !self.fits(algorithm) {
            return false;
        }
        let public = |with: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(with, key).verify(message, signature).is_ok()
        };
        let rsa = |with: &'static signature::RsaParameters| match &self.material {
            Material::Rsa { n, e } => {
                signature::RsaPublicKeyComponents { n, e }.verify(with, message, signature).is_ok()
            }
            Material::RsaDer(key) => public(with, key),
            _ => false,
        };
        let secret = |with: hmac::Algorithm| match &self.material {
            Material::Secret(Secret(secret)) => {
                hmac::verify(&hmac::Key::new(with, secret), message, signature).is_ok()
            }
            _ => false,
        };
        match (algorithm, &self.material) {
            (Algorithm::RS256, _) => rsa(&RSA_PKCS1_2048_8192_SHA256),
            (Algorithm::RS384, _) => rsa(&RSA_PKCS1_2048_8192_SHA384),
            (Algorithm::RS512, _) => rsa(&RSA_PKCS1_2048_8192_SHA512),
            (Algorithm::PS256, _) => rsa(&RSA_PSS_2048_8192_SHA256),
            (Algorithm::PS384, _) => rsa(&RSA_PSS_2048_8192_SHA384),
            (Algorithm::PS512, _) => rsa(&RSA_PSS_2048_8192_SHA512),
            (Algorithm::ES256, Material::P256(key)) => public(&ECDSA_P256_SHA256_FIXED, key),
            (Algorithm::ES384, Material::P384(key)) => public(&ECDSA_P384_SHA384_FIXED, key),
            (Algorithm::EdDSA, Material::Ed25519(key)) => public(&ED25519, key),
            (Algorithm::HS256, _) => secret(hmac::HMAC_SHA256),
            (Algorithm::HS384, _) => secret(hmac::HMAC_SHA384),
            (Algorithm::HS512, _) => secret(hmac::HMAC_SHA512),
            _ => false,
        }
    }

    /// `configured`: the algorithms of the configuration; `own`: the one of the key itself.
    fn new(
        id: Option<String>,
        material: Material,
        own: Option<Algorithm>,
        configured: Option<&[Algorithm]>,
    ) -> Result<Self, String> {
        use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512};

        let by_type: &[Algorithm] = match material {
            Material::Rsa { .. } | Material::RsaDer(_) => &[RS256, RS384, RS512, PS256, PS384, PS512],
            Material::P256(_) => &[ES256],
            Material::P384(_) => &[ES384],
            Material::Ed25519(_) => &[EdDSA],
            Material::Secret(_) => &[HS256, HS384, HS512],
        };
        let algorithms: Vec<_> = by_type
            .iter()
            .copied()
            .filter(|algorithm| own.is_none_or(|own| own == *algorithm))
            .filter(|algorithm| configured.is_none_or(|configured| configured.contains(algorithm)))
            .collect();
        if algorithms.is_empty() {
            return Err("is for another algorithm".into());
        }
        Ok(Self { id, material, algorithms })
    }

    /// A shared secret, as the bytes of a file without the line's end.
    pub(crate) fn from_secret(secret: &[u8], configured: Option<&[Algorithm]>) -> Result<Self, String> {
        let secret = secret.trim_ascii_end();
        if secret.len() < MIN_SECRET {
            return Err(format!("is shorter than {MIN_SECRET} bytes"));
        }
        Self::new(
            None,
            Material::Secret(Secret(secret.to_vec())),
            None,
            configured.or(Some(&[Algorithm::HS256])),
        )
    }

    fn from_pem(text: &str, configured: Option<&[Algorithm]>) -> Result<Self, String> {
        let pem = pem::parse(text).map_err(|_| "is not PEM")?;
        match pem.tag() {
            "PUBLIC KEY" | "RSA PUBLIC KEY" => {}
            tag if tag.ends_with("PRIVATE KEY") => return Err("is a private key".into()),
            _ => return Err("is not a public key".into()),
        }
        let material =
            |key: &DecodingKey| key.try_get_as_bytes().map(<[u8]>::to_vec).map_err(|e| e.to_string());
        let text = text.as_bytes();
        let material = if let Ok(key) = DecodingKey::from_rsa_pem(text) {
            Material::RsaDer(material(&key)?)
        } else if let Ok(key) = DecodingKey::from_ec_pem(text) {
            let point = material(&key)?;
            match point.len() {
                65 => Material::P256(point),
                97 => Material::P384(point),
                _ => return Err("is on a curve that is not supported".into()),
            }
        } else if let Ok(key) = DecodingKey::from_ed_pem(text) {
            Material::Ed25519(material(&key)?)
        } else {
            return Err("is not an RSA, EC or Ed25519 key".into());
        };
        Self::new(None, material, None, configured)
    }

    fn from_jwk(text: &str, configured: Option<&[Algorithm]>) -> Result<Self, String> {
        let jwk: Jwk = serde_json::from_str(text).map_err(|_| "is not a JWK")?;
        let common = jwk.common;
        if !matches!(common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return Err("is not for signatures".into());
        }
        if common.key_operations.is_some_and(|operations| !operations.contains(&KeyOperations::Verify)) {
            return Err("is not for verifying".into());
        }
        let own = common
            .key_algorithm
            .map(Algorithm::try_from)
            .transpose()
            .map_err(|_| "is for an algorithm that is not supported")?;
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| "is not valid base64url");
        let point = |x: &str, y: &str, size: usize| {
            let (x, y) = (bytes(x)?, bytes(y)?);
            if x.len() != size || y.len() != size {
                return Err("has coordinates of a wrong length");
            }
            Ok([&[4], &*x, &*y].concat())
        };
        let material = match jwk.algorithm {
            AlgorithmParameters::RSA(key) => {
                // Some issuers put a zero byte before the modulus.
                let strip = |bytes: Vec<u8>| bytes.into_iter().skip_while(|&byte| byte == 0).collect();
                let (n, e): (Vec<u8>, Vec<u8>) = (strip(bytes(&key.n)?), strip(bytes(&key.e)?));
                if !(256..=1024).contains(&n.len()) {
                    return Err("does not have 2048 to 8192 bits".into());
                }
                Material::Rsa { n, e }
            }
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => Material::P256(point(&key.x, &key.y, 32)?),
                EllipticCurve::P384 => Material::P384(point(&key.x, &key.y, 48)?),
                _ => return Err("is on a curve that is not supported".into()),
            },
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                Material::Ed25519(bytes(&key.x)?)
            }
            AlgorithmParameters::OctetKey(_) => return Err("is a shared secret among public keys".into()),
            _ => return Err("is of a type that is not supported".into()),
        };
        Self::new(common.key_id, material, own, configured)
    }
}

/// The keys of one issuer.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
    /// What was left out, and why. For the log.
    pub skipped: Vec<String>,
}

impl KeySet {
    pub(crate) fn one(key: Key) -> Self {
        Self { keys: vec![key], skipped: Vec::new() }
    }

    /// The text of a file: a public key in PEM, a JWK, or a JWKS. All of it must be usable.
    pub(crate) fn from_file(text: &str, configured: Option<&[Algorithm]>) -> Result<Self, String> {
        if text.trim_start().starts_with("-----BEGIN") {
            return Key::from_pem(text, configured).map(Self::one);
        }
        if serde_json::from_str::<Jwks>(text).is_err() {
            return Key::from_jwk(text, configured).map(Self::one);
        }
        let set = Self::from_jwks(text, configured)?;
        match set.skipped.first() {
            Some(problem) => Err(problem.clone()),
            None => Ok(set),
        }
    }

    /// What an issuer publishes. Keys that cannot be used are left out; without any that can, it is an error. Keys must have
    /// an id, because tokens must name it.
    pub(crate) fn published(text: &str, configured: Option<&[Algorithm]>) -> Result<Self, String> {
        let mut set = Self::from_jwks(text, configured)?;
        let all = set.keys.len();
        set.keys.retain(|key| key.id.is_some());
        if set.keys.len() < all {
            set.skipped.push("a key has no kid".into());
        }
        if set.keys.is_empty() {
            let why = set.skipped.first().map_or("the key set is empty", String::as_str);
            return Err(format!("no key can be used: {why}"));
        }
        Ok(set)
    }

    fn from_jwks(text: &str, configured: Option<&[Algorithm]>) -> Result<Self, String> {
        let jwks: Jwks = serde_json::from_str(text).map_err(|_| "not a JSON Web Key Set")?;
        if jwks.keys.len() > MAX_KEYS {
            return Err(format!("the key set has more than {MAX_KEYS} keys"));
        }
        let mut set = Self::default();
        for (n, key) in jwks.keys.iter().enumerate() {
            match Key::from_jwk(key.get(), configured) {
                Ok(key) => set.keys.push(key),
                Err(problem) => set.skipped.push(format!("key {} {problem}", n + 1)),
            }
        }
        Ok(set)
    }

    /// The keys that a token with this `kid` may be signed with.
    pub(crate) fn candidates<'a>(&'a self, kid: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        let only = self.keys.len() == 1;
        self.keys.iter().filter(move |key| match (&key.id, kid) {
            // A key from a file need not have a name.
            (None, _) => true,
            (Some(id), Some(kid)) => id == kid,
            (Some(_), None) => only,
        })
    }

    pub(crate) fn has(&self, kid: &str) -> bool {
        self.candidates(Some(kid)).next().is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Box<RawValue>>,
}
