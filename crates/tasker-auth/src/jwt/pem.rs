//! Public keys in PEM: what a block holds, and which kinds of keys are taken.

use spki::{
    ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{Decode, Document, Reader, SliceReader, asn1::UintRef},
};

use super::keys::Key;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ELLIPTIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

const BEGIN: &str = "-----BEGIN ";

/// The key of each block, or the rest of a sentence.
pub(super) fn keys(text: &str) -> Result<Vec<Key>, String> {
    let blocks: Vec<&str> = text.split(BEGIN).skip(1).collect();
    if blocks.is_empty() {
        return Err("has no block -----BEGIN PUBLIC KEY-----".into());
    }
    let numbered = |(at, block)| key(block).map_err(|why| format!("block {at} {why}"));
    (1..).zip(blocks).map(numbered).collect()
}

fn key(block: &str) -> Result<Key, String> {
    let label = block.split("-----").next().unwrap_or_default();
    if label.contains("PRIVATE") {
        return Err("is a private key, which the service must not have; write the public one there".into());
    }
    if label != "PUBLIC KEY" {
        return Err("is no PUBLIC KEY; `openssl pkey -pubout` writes one".into());
    }
    let end = format!("-----END {label}-----");
    let length = block.find(&end).ok_or_else(|| format!("has no {end}"))? + end.len();
    // Whatever stands between blocks is for people.
    let (_, der) = Document::from_pem(&format!("{BEGIN}{}", &block[..length]))
        .map_err(|e| format!("cannot be read: {e}"))?;
    let info =
        SubjectPublicKeyInfoRef::from_der(der.as_bytes()).map_err(|e| format!("is no public key: {e}"))?;
    let bits = info.subject_public_key.as_bytes().ok_or("is no public key")?;
    of_kind(&info, bits)
}

fn of_kind(info: &SubjectPublicKeyInfoRef<'_>, bits: &[u8]) -> Result<Key, String> {
    if info.algorithm.oid == RSA {
        return rsa(bits);
    }
    let is_ed25519 = info.algorithm.oid == ED25519 && bits.len() == 32;
    if is_ed25519 && info.algorithm.parameters.is_none() {
        return Ok(Key::Ed25519(bits.to_vec()));
    }
    let curve = match info.algorithm.oid {
        ELLIPTIC => info.algorithm.parameters_oid().ok(),
        _ => None,
    };
    // A whole point: 4, and both coordinates.
    let is_point = |length: usize| bits.len() == 2 * length + 1 && bits[0] == 4;
    match curve {
        Some(P256) if is_point(32) => Ok(Key::P256(bits.to_vec())),
        Some(P384) if is_point(48) => Ok(Key::P384(bits.to_vec())),
        Some(P521) if is_point(66) => Ok(Key::P521(bits.to_vec())),
        _ => {
            Err("is of a kind that is not taken; RSA, P-256, P-384, P-521 (uncompressed) and Ed25519 are"
                .into())
        }
    }
}

fn rsa(bits: &[u8]) -> Result<Key, String> {
    let wrong = |e| format!("is no RSA key: {e}");
    let mut reader = SliceReader::new(bits).map_err(wrong)?;
    let (n, e) = reader
        .sequence(|reader| Ok::<_, spki::der::Error>((UintRef::decode(reader)?, UintRef::decode(reader)?)))
        .map_err(wrong)?;
    reader.finish().map_err(wrong)?;
    let (n, e) = (n.as_bytes().to_vec(), e.as_bytes().to_vec());
    match n.len() {
        256.. => Ok(Key::Rsa { n, e }),
        _ => Err("is an RSA key of less than 2048 bits".into()),
    }
}
