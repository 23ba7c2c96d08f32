//! Services that misbehave, on loopback: each does one thing wrong to every connection, for a few seconds at most.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use keyward::check::endpoint;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use url::Url;

/// The longest that a service keeps a connection.
const PATIENCE: Duration = Duration::from_secs(8);

/// A listening socket and what it does to whoever comes.
pub(crate) struct Rogue {
    scheme: &'static str,
    port: u16,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// What a service does to one connection.
type Deed = dyn Fn(TcpStream, &Visit) + Send + Sync;

/// One connection's surroundings.
pub(crate) struct Visit {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
    until: Instant,
}

impl Visit {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed) && Instant::now() < self.until
    }

    /// Writes until the client has had enough.
    fn write(&self, stream: &mut TcpStream, bytes: &[u8]) -> bool {
        let sent = self.goes_on() && stream.write_all(bytes).is_ok();
        self.written.fetch_add(if sent { bytes.len() } else { 0 }, Ordering::Relaxed);
        sent
    }
}

impl Rogue {
    fn start(scheme: &'static str, deed: impl Fn(TcpStream, &Visit) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counter, deed) = (Arc::clone(&stop), Arc::clone(&written), Arc::new(deed));
        let thread = thread::spawn(move || accept(&listener, &stopped, &counter, &(deed as Arc<Deed>)));
        Self { scheme, port, stop, written, thread: Some(thread) }
    }

    /// Reads the request and says nothing.
    pub(crate) fn hangs() -> Self {
        Self::start("http", |mut stream, visit| {
            read_head(&mut stream);
            while visit.goes_on() {
                thread::sleep(Duration::from_millis(10));
            }
        })
    }

    /// Says a byte now and then, and never comes to an end.
    pub(crate) fn drips() -> Self {
        Self::start("http", |mut stream, visit| {
            read_head(&mut stream);
            let mut open = visit.write(&mut stream, b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
            while open {
                thread::sleep(Duration::from_millis(50));
                open = visit.write(&mut stream, b" ");
            }
        })
    }

    /// Closes without a word.
    pub(crate) fn closes() -> Self {
        Self::start("http", |mut stream, _| read_head(&mut stream))
    }

    /// Closes in the middle of the body that it announced.
    pub(crate) fn closes_in_the_body() -> Self {
        Self::start("http", |mut stream, visit| {
            read_head(&mut stream);
            visit.write(
                &mut stream,
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"ok\":true}",
            );
        })
    }

    /// Sends 100 MB, announced or in chunks.
    pub(crate) fn floods(announced: bool) -> Self {
        Self::start("http", move |mut stream, visit| {
            read_head(&mut stream);
            let length = if announced { "content-length: 104857600" } else { "transfer-encoding: chunked" };
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{length}\r\n\r\n");
            let block = [b' '; 64 * 1024];
            let mut open = visit.write(&mut stream, head.as_bytes());
            for _ in 0..1600 {
                open = open && (announced || visit.write(&mut stream, b"10000\r\n"));
                open = open && visit.write(&mut stream, &block);
                open = open && (announced || visit.write(&mut stream, b"\r\n"));
            }
        })
    }

    /// Sends this instead of HTTP.
    pub(crate) fn says(text: &'static [u8]) -> Self {
        Self::start("http", move |mut stream, visit| {
            read_head(&mut stream);
            visit.write(&mut stream, text);
        })
    }

    /// The same service, which claims to speak TLS.
    pub(crate) fn claiming_tls(mut self) -> Self {
        self.scheme = "https";
        self
    }

    /// Nobody: a port that was free a moment ago.
    pub(crate) fn nobody() -> Url {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        endpoint(&format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port())).unwrap()
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> Url {
        endpoint(&format!("{}://127.0.0.1:{}", self.scheme, self.port)).unwrap()
    }

    /// How many bytes it got rid of.
    pub(crate) fn written(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A company: a service whose certificate only its own authority vouches for. It answers every request with `body`.
pub(crate) struct Company {
    /// The service.
    pub(crate) service: Rogue,
    /// The authority's certificate in PEM.
    pub(crate) authority: String,
}

impl Company {
    pub(crate) fn start(body: &'static str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = pem(issuer.der());
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)
            .unwrap();
        let config = Arc::new(config);
        let service = Rogue::start("https", move |stream, _| {
            let mut tls = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
            let mut head = [0; 4096];
            if tls.read(&mut head).is_ok_and(|count| count > 0) {
                let length = body.len();
                let reply = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
                );
                let _ = tls.write_all(reply.as_bytes());
                tls.conn.send_close_notify();
                let _ = tls.flush();
            }
        });
        Self { service, authority }
    }
}

fn pem(der: &[u8]) -> String {
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn accept(listener: &TcpListener, stop: &Arc<AtomicBool>, written: &Arc<AtomicUsize>, deed: &Arc<Deed>) {
    let mut visits = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let Ok((stream, _)) = listener.accept() else {
            thread::sleep(Duration::from_millis(2));
            continue;
        };
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let visit = Visit { stop: Arc::clone(stop), written: Arc::clone(written), until: Instant::now() + PATIENCE };
        let deed = Arc::clone(deed);
        visits.push(thread::spawn(move || deed(stream, &visit)));
    }
    visits.into_iter().for_each(|visit| drop(visit.join()));
}

/// Reads up to the end of a request's head: closing before would look like a reset. A TLS greeting has no such end.
fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    while head.first() != Some(&0x16) && !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => head.extend_from_slice(&piece[..count]),
            _ => return,
        }
    }
}
