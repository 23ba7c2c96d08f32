//! A stand-in for a service: HTTP/1.1 on loopback, answering what a closure says and remembering what it was asked.
//!
//! `keyward demo` and the tests use it. It listens on this machine only, and stops when it is dropped.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::runtime;
use tokio::sync::oneshot;
use url::Url;

use crate::check::{MAX_BODY, Reply, Script};

/// A service that is not one.
#[derive(Debug)]
pub struct StandIn {
    address: SocketAddr,
    seen: Seen,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

type Seen = Arc<Mutex<Vec<SeenRequest>>>;

impl StandIn {
    /// Listens on a free port of 127.0.0.1 and answers each request with what `answer` says.
    ///
    /// # Errors
    ///
    /// When no port can be listened on.
    pub fn start(answer: impl Fn(&SeenRequest) -> Answer + Send + Sync + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let seen = Seen::default();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serving = serve(listener, Arc::new(answer), Arc::clone(&seen));
        let thread = std::thread::Builder::new().name("stand-in".to_owned()).spawn(move || {
            // It ends with the sender's message, or with the sender.
            runtime.block_on(async {
                tokio::spawn(serving);
                let _ = stopped.await;
            });
            runtime.shutdown_background();
        })?;
        Ok(Self { address, seen, stop: Some(stop), thread: Some(thread) })
    }

    /// Listens and answers as a provider's fixtures say; see [`Script`].
    ///
    /// # Errors
    ///
    /// When no port can be listened on.
    pub fn play(script: Script) -> io::Result<Self> {
        Self::start(move |seen| script.answer(&seen.method, &seen.path, &seen.text()).into())
    }

    /// Where it listens: `http://127.0.0.1:PORT/`.
    pub fn url(&self) -> Url {
        let text = format!("http://{}/", self.address);
        Url::parse(&text).expect("an address makes a URL")
    }

    /// What it was asked so far, in order.
    pub fn seen(&self) -> Vec<SeenRequest> {
        lock(&self.seen).clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A request that was seen.
#[derive(Clone, PartialEq, Eq)]
pub struct SeenRequest {
    /// Such as `GET`.
    pub method: String,
    /// As it was sent, percent-encoded.
    pub path: String,
    /// As it was sent, without `?`.
    pub query: Option<String>,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl SeenRequest {
    /// The value of the header `name`, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All of it as text.
    pub fn text(&self) -> String {
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        let query = self.query.as_deref().unwrap_or_default();
        let body = String::from_utf8_lossy(&self.body);
        format!("{} {}?{query}\n{headers}\n{body}", self.method, self.path)
    }
}

impl fmt::Debug for SeenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // All the rest may hold the secret that was sent.
        write!(f, "SeenRequest({}, {} headers, {} bytes)", self.method, self.headers.len(), self.body.len())
    }
}

/// What is answered, and how soon.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The reply. A `content-length` and a `date` are added.
    pub reply: Reply,
    /// How long the service thinks.
    pub delay: Duration,
}

impl Answer {
    /// A JSON answer.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Reply { status, headers, body: body.to_string().into_bytes() }.into()
    }

    /// An answer in plain text.
    pub fn text(status: u16, body: &str) -> Self {
        let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
        Reply { status, headers, body: body.as_bytes().to_vec() }.into()
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.reply.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same after some time.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self { reply, delay: Duration::ZERO }
    }
}

type Answers = Arc<dyn Fn(&SeenRequest) -> Answer + Send + Sync>;

fn lock(seen: &Seen) -> MutexGuard<'_, Vec<SeenRequest>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, answers: Answers, seen: Seen) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        let (answers, seen) = (Arc::clone(&answers), Arc::clone(&seen));
        let service = service_fn(move |request| respond(request, Arc::clone(&answers), Arc::clone(&seen)));
        // A client that breaks off is its own trouble.
        tokio::spawn(async move { http1::Builder::new().serve_connection(TokioIo::new(stream), service).await });
    }
}

async fn respond(
    request: Request<Incoming>,
    answers: Answers,
    seen: Seen,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let request = SeenRequest {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body,
    };
    let Answer { reply, delay } = answers(&request);
    lock(&seen).push(request);
    tokio::time::sleep(delay).await;
    Ok(response(reply))
}

fn response(reply: Reply) -> Response<Full<Bytes>> {
    let mut builder = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        builder = builder.header(name, value);
    }
    builder.body(Full::new(reply.body.into())).unwrap_or_else(|_| {
        // The closure made something that is no HTTP: the client has to see a fault, not a hang.
        let mut fault = Response::new(Full::default());
        *fault.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        fault
    })
}
