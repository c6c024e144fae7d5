//! An authority of our own, as a company has one, and the certificates it gives out: good
//! ones and those that nobody should accept.

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What is wrong with a certificate for `localhost`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Flaw {
    None,
    OtherName,
    Expired,
    NotYetValid,
    SelfSigned,
    /// Good for clients only.
    OtherPurpose,
    /// It is the authority's own.
    Authority,
}

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Authority { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    /// Writes its certificate, for whom shall trust it.
    pub fn write(&self, path: &Path) {
        std::fs::write(path, self.issuer.pem()).unwrap();
    }

    /// For a server with a certificate like this, which offers these protocols (ALPN).
    pub fn server(&self, flaw: Flaw, protocols: &[&str]) -> Arc<ServerConfig> {
        if flaw == Flaw::Authority {
            return server_config(self.issuer.der().clone(), self.issuer.key(), protocols);
        }
        let name = if flaw == Flaw::OtherName { "elsewhere.example" } else { "localhost" };
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        match flaw {
            Flaw::Expired => params.not_after = date_time_ymd(2020, 1, 1),
            Flaw::NotYetValid => params.not_before = date_time_ymd(2999, 1, 1),
            Flaw::OtherPurpose => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
            Flaw::None | Flaw::OtherName | Flaw::SelfSigned | Flaw::Authority => {}
        }
        let key = KeyPair::generate().unwrap();
        let certificate = match flaw {
            Flaw::SelfSigned => params.self_signed(&key).unwrap(),
            _ => params.signed_by(&key, &self.issuer).unwrap(),
        };
        server_config(certificate.der().clone(), &key, protocols)
    }
}

fn server_config(
    certificate: CertificateDer<'static>,
    key: &KeyPair,
    protocols: &[&str],
) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(ring).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Arc::new(config)
}
