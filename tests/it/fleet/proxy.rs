//! Stands between an instance and Redis: passes all, swallows an answer and cuts the connection, or falls silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const PASS: u8 = 0;
/// The next answers are not passed on; their connection is cut, and everything passes again.
pub const CUT: u8 = 1;
/// Nothing gets through in either direction and connections hang; what was sent meanwhile is lost.
pub const SILENT: u8 = 2;

pub struct Proxy {
    pub port: u16,
    mode: Arc<AtomicU8>,
}

impl Proxy {
    pub async fn before(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let mode = Arc::new(AtomicU8::new(PASS));
        let shared = Arc::clone(&mode);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, port, Arc::clone(&shared)));
            }
        });
        Self { port: own, mode }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }

    pub fn mode(&self) -> u8 {
        self.mode.load(Ordering::SeqCst)
    }
}

async fn pass(client: TcpStream, port: u16, mode: Arc<AtomicU8>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut asked, mut answered) = (vec![0; 65536], vec![0; 65536]);
    loop {
        tokio::select! {
            n = from_client.read(&mut asked) => {
                let Ok(n @ 1..) = n else { return };
                if mode.load(Ordering::SeqCst) != SILENT && to_server.write_all(&asked[..n]).await.is_err() {
                    return;
                }
            }
            n = from_server.read(&mut answered) => {
                let Ok(n @ 1..) = n else { return };
                if mode.compare_exchange(CUT, PASS, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                    return;
                }
                if mode.load(Ordering::SeqCst) != SILENT && to_client.write_all(&answered[..n]).await.is_err() {
                    return;
                }
            }
        }
    }
}
