import Foundation
import Testing

@testable import MartletServer

/// The reference page of the server's settings is made from their table. `make golden` rewrites it.
@Suite struct ServerReferenceTests {
    @Test func settings() throws {
        var text = """
            # Settings of the server

            Made from the table of settings. `martlet dev` takes them as `--set name=value`, or a name=value a line from the file that `--config`
            names; `docs/reference/security.md` says how they go together.

            Those marked with ✎ can be changed while the node runs, by Kafka's admin clients (IncrementalAlterConfigs of broker 1, or of "" for
            all brokers); what is set so outlives a restart and goes before what is given at the start.

            | setting | default | what it is |
            |---|---|---|

            """
        for setting in ServerSetting.all {
            text += "| `\(setting.name)`\(setting.changesWhileRunning ? " ✎" : "") | \(setting.defaultValue.isEmpty ? "" : "`\(setting.defaultValue)`") | \(setting.summary) |\n"
        }
        let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "docs/reference/server-settings.md")
        if ProcessInfo.processInfo.environment["MARTLET_GOLDEN"] != nil {
            try text.write(to: file, atomically: true, encoding: .utf8)
            return
        }
        let written = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
        #expect(written == text, "docs/reference/server-settings.md does not say what the code says: run make golden and read the difference")
    }
}
