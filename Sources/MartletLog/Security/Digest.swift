// The only file of the log that calls BoringSSL, which swift-nio-ssl brings along (docs/decisions/0007-security.md).
import CNIOBoringSSL

/// The hash functions that SCRAM is defined for, with what it makes of them (RFC 5802, RFC 7677).
enum Digest: Sendable, Hashable {
    case sha256
    case sha512

    /// Bytes of a hash.
    var size: Int { self == .sha256 ? 32 : 64 }

    private var algorithm: OpaquePointer { self == .sha256 ? EVP_sha256() : EVP_sha512() }

    /// H(bytes)
    func hash(_ bytes: [UInt8]) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: size)
        let status = EVP_Digest(bytes, bytes.count, &out, nil, algorithm, nil)
        precondition(status == 1, "hashing fails only without memory")
        return out
    }

    /// HMAC(key, bytes)
    func authenticate(_ bytes: [UInt8], key: [UInt8]) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: size)
        let result = HMAC(algorithm, key, key.count, bytes, bytes.count, &out, nil)
        precondition(result != nil, "hashing fails only without memory")
        return out
    }

    /// Hi(password, salt, iterations), which is PBKDF2 with one block of output. `iterations` is at least 1.
    func stretch(password: [UInt8], salt: [UInt8], iterations: Int) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: size)
        let status = password.withUnsafeBytes { password in
            PKCS5_PBKDF2_HMAC(
                password.baseAddress?.assumingMemoryBound(to: CChar.self), password.count, salt, salt.count, UInt32(clamping: iterations),
                algorithm, size, &out)
        }
        precondition(status == 1, "hashing fails only without memory")
        return out
    }
}

enum Secret {
    /// So many bytes from the operating system's generator.
    static func random(_ count: Int) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: count)
        RAND_bytes(&out, count)
        return out
    }

    /// Takes as long for a wrong byte at the start as for one at the end.
    static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
    }
}

/// Who a client certificate was made out to.
enum CertificateSubject {
    /// The subject as RFC 2253 writes it, the most specific part first ("CN=client,O=Acme"): what Kafka makes of it too.
    ///
    /// - `der`: the certificate. Nil if it is none.
    static func name(der: [UInt8]) -> String? {
        der.withUnsafeBufferPointer { bytes -> String? in
            var position = bytes.baseAddress
            guard let certificate = d2i_X509(nil, &position, bytes.count) else { return nil }
            defer { X509_free(certificate) }
            guard let out = BIO_new(BIO_s_mem()) else { return nil }
            defer { BIO_free(out) }
            // RFC 2253, with letters beyond ASCII as they are.
            let rfc2253 =
                XN_FLAG_SEP_COMMA_PLUS | XN_FLAG_DN_REV | XN_FLAG_FN_SN | XN_FLAG_DUMP_UNKNOWN_FIELDS | ASN1_STRFLGS_ESC_2253
                | ASN1_STRFLGS_ESC_CTRL | ASN1_STRFLGS_UTF8_CONVERT | ASN1_STRFLGS_DUMP_UNKNOWN | ASN1_STRFLGS_DUMP_DER
            guard X509_NAME_print_ex(out, X509_get_subject_name(certificate), 0, rfc2253) >= 0 else { return nil }
            var text: UnsafePointer<UInt8>?
            var count = 0
            guard BIO_mem_contents(out, &text, &count) == 1 else { return nil }
            return String(decoding: UnsafeBufferPointer(start: text, count: count), as: UTF8.self)
        }
    }
}
