//! The configuration and the keys of `postern up`.
//!
//! They are made once and are then the user's: what was changed in postern.toml stays. Only where the database is comes from
//! the cluster at every start, since that is not the user's to say here.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use postern_auth::dev::{self, SigningKey};
use postern_cluster::Cluster;
use postern_gate::Config;

use super::folder::{Places, write_private};
use super::{DATABASE, GATE_ROLE, OUTBOUND_ROLE};
use crate::error::{Context, Error};

/// Who vouches for tokens of `postern token`.
pub const ISSUER: &str = "postern-development";
/// For whom they are.
pub const AUDIENCE: &str = "postern";
/// The role of the example.
const EXAMPLE_ROLE: &str = "app_user";

/// Makes what is missing.
pub fn prepare(places: Places<'_>, cluster: &Cluster) -> Result<(), Error> {
    let (private, public) = (places.signing_key(), places.public_key());
    if !private.exists() {
        let room = tempfile::tempdir_in(places.0).context("create a folder in", places.0)?;
        let fresh = room.path().join("key");
        dev::generate_key(&fresh, &room.path().join("public")).context("make a key in", room.path())?;
        // Appears whole or not at all.
        fs::rename(&fresh, &private).context("write", &private)?;
    }
    // The gate's half follows from the other, whatever became of it.
    let key = signing_key(&private)?;
    write_private(&public, &key.public_jwk().unwrap_or_default())?;
    let file = places.config();
    if !file.exists() {
        write_private(&file, &text(places, cluster))?;
    }
    Ok(())
}

/// The key of secrets, made when it is missing.
pub fn secrets_key(places: Places<'_>) -> Result<String, Error> {
    let file = places.secrets_key();
    if !file.exists() {
        let digits = rand::random::<[u8; 32]>().iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        write_private(&file, &format!("{digits}\n"))?;
    }
    fs::read_to_string(&file).context("read", &file)
}

/// The key in a file: Ed25519 as PEM, or a shared secret.
pub fn signing_key(file: &Path) -> Result<SigningKey, Error> {
    if !file.exists() {
        return Err(Error::NoKey(file.to_owned()));
    }
    let text = fs::read_to_string(file).context("read", file)?;
    if text.trim_start().starts_with("-----BEGIN") {
        SigningKey::from_pem(&text).map_err(|error| Error::Key(error.to_string()))
    } else {
        Ok(SigningKey::from_secret(text.as_bytes()))
    }
}

/// Has the gate use this cluster, wherever the file says that it is.
pub fn point_at(config: &mut Config, places: Places<'_>, cluster: &Cluster) {
    config.database.url = None;
    config.database.host = Some(cluster.socket_dir().to_string_lossy().into_owned());
    config.database.port = Some(cluster.port());
    config.database.dbname = Some(DATABASE.into());
    config.database.user = Some(GATE_ROLE.into());
    config.database.password = None;
    config.database.password_file = Some(places.gate_password());
    let url = cluster.url(OUTBOUND_ROLE, DATABASE);
    let said_key = config.outbound.as_ref().and_then(|said| said.secrets_key_file.clone());
    let secrets_key_file = Some(said_key.unwrap_or_else(|| places.secrets_key()));
    config.outbound = Some(match config.outbound.take() {
        Some(said) => postern_outbound::Config { url, password_file: None, secrets_key_file, ..said },
        None => postern_outbound::Config { secrets_key_file, ..postern_outbound::Config::new(url) },
    });
}

fn text(places: Places<'_>, cluster: &Cluster) -> String {
    let string = |text: &str| toml::Value::from(text).to_string();
    let path = |path: &Path| string(&path.to_string_lossy());
    format!(
        "# The gate of `postern up`. Made at its first start, and yours to change since; see docs/reference/configuration.md.\n\
         \n\
         [listen]\n\
         address = \"127.0.0.1:8484\"\n\
         \n\
         # `postern up` knows where its own cluster is; this is for `postern serve` and `postern doctor`.\n\
         [database]\n\
         host = {host}\n\
         port = {port}\n\
         dbname = {database}\n\
         user = {user}\n\
         password_file = {password}\n\
         \n\
         # Tokens of `postern token`, for development. In production, name your identity provider here.\n\
         [[auth.jwt]]\n\
         issuer = {issuer}\n\
         audience = {audience}\n\
         key_file = {key}\n\
         roles = [{role}]\n\
         \n\
         # Keys made by postern.create_api_key().\n\
         [auth.api_keys]\n\
         enabled = true\n\
         roles = [{role}]\n",
        host = path(cluster.socket_dir()),
        port = cluster.port(),
        database = string(DATABASE),
        user = string(GATE_ROLE),
        password = path(&places.gate_password()),
        issuer = string(ISSUER),
        audience = string(AUDIENCE),
        key = path(&places.public_key()),
        role = string(EXAMPLE_ROLE),
    )
}
