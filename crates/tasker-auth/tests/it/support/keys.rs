//! Keys that sign tokens, as an issuer has them. The RSA keys are files, since making one takes seconds; they
//! are for tests alone.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use ring::{
    rand::SystemRandom,
    signature::{self as sig, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair},
};
use serde_json::{Value, json};

pub(crate) enum SigningKey {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    P521(Box<p521::ecdsa::SigningKey>),
    Ed25519(Ed25519KeyPair),
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64.encode(bytes)
}

impl SigningKey {
    /// The first or the second RSA key.
    pub(crate) fn rsa(number: u8) -> Self {
        let file: &[u8] = if number == 1 {
            include_bytes!("../keys/rsa-1.pk8")
        } else {
            include_bytes!("../keys/rsa-2.pk8")
        };
        Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(file).unwrap()))
    }

    pub(crate) fn p256() -> Self {
        Self::P256(ecdsa(&sig::ECDSA_P256_SHA256_FIXED_SIGNING))
    }

    pub(crate) fn p384() -> Self {
        Self::P384(ecdsa(&sig::ECDSA_P384_SHA384_FIXED_SIGNING))
    }

    pub(crate) fn p521() -> Self {
        // The curve's order has 521 bits, so a number of 512 is one of its keys.
        let mut number = [0; 66];
        ring::rand::SecureRandom::fill(&SystemRandom::new(), &mut number[2..]).unwrap();
        Self::P521(Box::new(p521::ecdsa::SigningKey::from_slice(&number).unwrap()))
    }

    pub(crate) fn ed25519() -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(made.as_ref()).unwrap())
    }

    /// What is published of it.
    pub(crate) fn jwk(&self, id: &str) -> Value {
        let point = |curve: &str| {
            let bytes = self.public();
            let (x, y) = bytes[1..].split_at((bytes.len() - 1) / 2);
            json!({ "kty": "EC", "crv": curve, "kid": id, "use": "sig", "x": encode(x), "y": encode(y) })
        };
        match self {
            Self::Rsa(pair) => {
                let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({ "kty": "RSA", "kid": id, "use": "sig", "n": encode(public.n), "e": encode(public.e) })
            }
            Self::P256(_) => point("P-256"),
            Self::P384(_) => point("P-384"),
            Self::P521(_) => point("P-521"),
            Self::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": encode(pair.public_key()) })
            }
        }
    }

    /// The bytes of the public key, as the BIT STRING of its kind holds them.
    pub(crate) fn public(&self) -> Vec<u8> {
        match self {
            Self::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Self::P256(pair) | Self::P384(pair) => pair.public_key().as_ref().to_vec(),
            Self::P521(key) => key.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
            Self::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// What is published of it, in PEM.
    pub(crate) fn pem(&self) -> String {
        let elliptic = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01";
        let algorithm = match self {
            Self::Rsa(_) => b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00".to_vec(),
            Self::P256(_) => [&elliptic[..], b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"].concat(),
            Self::P384(_) => [&elliptic[..], b"\x06\x05\x2b\x81\x04\x00\x22"].concat(),
            Self::P521(_) => [&elliptic[..], b"\x06\x05\x2b\x81\x04\x00\x23"].concat(),
            Self::Ed25519(_) => b"\x06\x03\x2b\x65\x70".to_vec(),
        };
        let bits = [&[0][..], &self.public()].concat();
        pem("PUBLIC KEY", &der(0x30, &[der(0x30, &algorithm), der(0x03, &bits)].concat()))
    }

    /// The token with this header and these claims; the algorithm of the header is the one that signs.
    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature = self.sign(header["alg"].as_str().unwrap_or_default(), message.as_bytes());
        format!("{message}.{}", encode(signature))
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let padding: &'static dyn sig::RsaEncoding = match algorithm {
                    "RS384" => &sig::RSA_PKCS1_SHA384,
                    "RS512" => &sig::RSA_PKCS1_SHA512,
                    "PS256" => &sig::RSA_PSS_SHA256,
                    "PS384" => &sig::RSA_PSS_SHA384,
                    "PS512" => &sig::RSA_PSS_SHA512,
                    _ => &sig::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::P256(pair) | Self::P384(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::P521(key) => {
                let signature: p521::ecdsa::Signature = p521::ecdsa::signature::Signer::sign(&**key, message);
                signature.to_bytes().to_vec()
            }
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

fn ecdsa(algorithm: &'static sig::EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &random).unwrap()
}

/// Bytes in lines between the marks of a kind.
pub(crate) fn pem(label: &str, bytes: &[u8]) -> String {
    let text = base64::prelude::BASE64_STANDARD.encode(bytes);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A value of DER with its kind and length.
pub(crate) fn der(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len();
    let head = match length {
        0..0x80 => vec![kind, length as u8],
        0x80..0x100 => vec![kind, 0x81, length as u8],
        _ => vec![kind, 0x82, (length >> 8) as u8, length as u8],
    };
    [&head, value].concat()
}
