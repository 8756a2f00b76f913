//! `postern lsp`: findings and fixes in an editor, by the Language Server Protocol over standard input and output.
//!
//! `documents` keeps what is open and judges it, `places` turns bytes into the editor's positions. Everything runs on one thread:
//! a change that is followed by another before it is looked at is not judged.
//!
//! **Invariants**
//! * Nothing is executed, and no file is written: an edit is given to the editor, which makes it or does not.
//! * A message that cannot be understood is answered or ignored, and the next one is read.

mod documents;
mod places;

use std::io;

use lsp_server::{Connection, ErrorCode, Message, Notification, ProtocolError, Request, Response};
use lsp_types::notification::{
    DidChangeTextDocument, DidCloseTextDocument, DidOpenTextDocument, Notification as _, PublishDiagnostics,
};
use lsp_types::request::{CodeActionRequest, Request as _};
use lsp_types::{
    CodeActionKind, CodeActionOptions, CodeActionParams, CodeActionProviderCapability, InitializeParams,
    PositionEncodingKind, PublishDiagnosticsParams, ServerCapabilities, TextDocumentSyncCapability,
    TextDocumentSyncKind,
};
use serde_json::json;

use crate::args::Lsp;
use crate::error::Error;
use documents::Documents;

/// The kind of the action that mends a whole file.
const FIX_ALL: CodeActionKind = CodeActionKind::new("source.fixAll.postern");

pub fn run(args: &Lsp) -> Result<(), Error> {
    let (connection, threads) = Connection::stdio();
    let served = serve(&connection, args);
    // The writing thread ends when nobody can give it anything.
    drop(connection);
    served.map_err(protocol)?;
    threads.join().map_err(|source| Error::Io { action: "talk to the editor".into(), source })
}

fn protocol(error: ProtocolError) -> Error {
    Error::Io { action: "talk to the editor".into(), source: io::Error::other(error) }
}

fn serve(connection: &Connection, args: &Lsp) -> Result<(), ProtocolError> {
    let (id, params) = connection.initialize_start()?;
    let params: InitializeParams = serde_json::from_value(params).unwrap_or_default();
    let offered =
        params.capabilities.general.and_then(|general| general.position_encodings).unwrap_or_default();
    let bytes = offered.contains(&PositionEncodingKind::UTF8);
    let capabilities = ServerCapabilities {
        position_encoding: Some(if bytes { PositionEncodingKind::UTF8 } else { PositionEncodingKind::UTF16 }),
        text_document_sync: Some(TextDocumentSyncCapability::Kind(TextDocumentSyncKind::INCREMENTAL)),
        code_action_provider: Some(CodeActionProviderCapability::Options(CodeActionOptions {
            code_action_kinds: Some(vec![CodeActionKind::QUICKFIX, FIX_ALL]),
            ..CodeActionOptions::default()
        })),
        ..ServerCapabilities::default()
    };
    let info = json!({ "name": "postern", "version": env!("CARGO_PKG_VERSION") });
    connection.initialize_finish(id, json!({ "capabilities": capabilities, "serverInfo": info }))?;
    let mut documents = Documents::new(args, bytes);
    while let Ok(message) = connection.receiver.recv() {
        let mut next = Some(message);
        while let Some(message) = next {
            match message {
                Message::Request(request) => {
                    if connection.handle_shutdown(&request)? {
                        return Ok(());
                    }
                    // An answer is about the text of now.
                    publish(connection, &mut documents);
                    send(connection, Message::Response(answer(&documents, request)));
                }
                Message::Notification(notification) => note(&mut documents, notification),
                Message::Response(_) => {}
            }
            next = connection.receiver.try_recv().ok();
        }
        publish(connection, &mut documents);
    }
    Ok(())
}

/// An editor that is gone reads nothing more; the reading end notices it.
fn send(connection: &Connection, message: Message) {
    let _ = connection.sender.send(message);
}

fn publish(connection: &Connection, documents: &mut Documents) {
    for (uri, version, diagnostics) in documents.judge() {
        let params = PublishDiagnosticsParams { uri, diagnostics, version };
        let notification = Notification::new(PublishDiagnostics::METHOD.into(), params);
        send(connection, Message::Notification(notification));
    }
}

fn note(documents: &mut Documents, notification: Notification) {
    match notification.method.as_str() {
        DidOpenTextDocument::METHOD => {
            if let Ok(params) =
                notification.extract::<lsp_types::DidOpenTextDocumentParams>(DidOpenTextDocument::METHOD)
            {
                let document = params.text_document;
                documents.put(document.uri, document.version, document.text);
            }
        }
        DidChangeTextDocument::METHOD => {
            if let Ok(params) =
                notification.extract::<lsp_types::DidChangeTextDocumentParams>(DidChangeTextDocument::METHOD)
            {
                let document = params.text_document;
                documents.change(document.uri, document.version, params.content_changes);
            }
        }
        DidCloseTextDocument::METHOD => {
            if let Ok(params) =
                notification.extract::<lsp_types::DidCloseTextDocumentParams>(DidCloseTextDocument::METHOD)
            {
                documents.close(&params.text_document.uri);
            }
        }
        _ => {}
    }
}

fn answer(documents: &Documents, request: Request) -> Response {
    let id = request.id.clone();
    match request.method.as_str() {
        CodeActionRequest::METHOD => match request.extract::<CodeActionParams>(CodeActionRequest::METHOD) {
            Ok((id, params)) => Response::new_ok(id, documents.actions(&params)),
            Err(error) => Response::new_err(id, ErrorCode::InvalidParams as i32, error.to_string()),
        },
        method => Response::new_err(id, ErrorCode::MethodNotFound as i32, format!("{method} is not offered")),
    }
}
