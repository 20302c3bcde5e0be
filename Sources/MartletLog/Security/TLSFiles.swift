import MartletCore
import NIOCore
import NIOSSL

/// Certificates and keys of a server, as PEM files.
public struct TLSFiles: Sendable, Hashable {
    public enum ClientAuthentication: String, Sendable, Hashable, CaseIterable {
        case none
        case requested
        case required
    }

    /// The server's certificate and those between it and the root, in this order.
    public var certificate: String
    public var key: String
    /// Whom client certificates must come from.
    public var clientAuthority: String?
    public var clientAuthentication: ClientAuthentication

    public init(certificate: String, key: String, clientAuthority: String? = nil, clientAuthentication: ClientAuthentication = .none) {
        self.certificate = certificate
        self.key = key
        self.clientAuthority = clientAuthority
        self.clientAuthentication = clientAuthentication
    }

    /// Reads the files. TLS 1.2 and 1.3.
    ///
    /// - `applicationProtocols`: what is offered by ALPN, e.g. "h2".
    /// - Throws: `.invalidProperty` that names the file and what is wrong with it.
    public func context(applicationProtocols: [String] = []) throws(MartletError) -> NIOSSLContext {
        func read<Value>(_ path: String, _ what: String, _ body: () throws -> Value) throws(MartletError) -> Value {
            do {
                return try body()
            } catch {
                throw MartletError(.invalidProperty, "\(path) cannot be used as \(what)", detail: "\(error)", hint: "it must be a readable PEM file")
            }
        }
        let chain = try read(certificate, "the server's certificate") { try NIOSSLCertificate.fromPEMFile(certificate) }
        if chain.isEmpty { throw MartletError(.invalidProperty, "\(certificate) holds no certificate") }
        let secret = try read(key, "the server's private key") { try NIOSSLPrivateKey(file: key, format: .pem) }
        var settings = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(secret))
        settings.minimumTLSVersion = .tlsv12
        settings.applicationProtocols = applicationProtocols
        if clientAuthentication != .none {
            guard let clientAuthority else {
                throw MartletError(.invalidProperty, "client certificates are asked for, but nothing says who may issue them", hint: "set ssl.ca.location")
            }
            let roots = try read(clientAuthority, "the authority of client certificates") { try NIOSSLCertificate.fromPEMFile(clientAuthority) }
            settings.trustRoots = .certificates(roots)
            // A client learns which of its certificates is wanted, and keeps one that would be refused to itself.
            settings.sendCANameList = true
            settings.certificateVerification =
                clientAuthentication == .required ? .noHostnameVerification : .optionalVerification
        }
        return try read(certificate, "the server's certificate with the key \(key)") { try NIOSSLContext(configuration: settings) }
    }
}
