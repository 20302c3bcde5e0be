import Foundation
import Glibc
import MartletCore
import Testing

@testable import MartletShell

@Suite(.serialized) struct LineEditorTests {
    /// Runs `body`, which blocks on the terminal, on a thread of its own, at once.
    private func onThread<T: Sendable>(_ body: @escaping @Sendable () -> T) -> AsyncStream<T> {
        let (stream, continuation) = AsyncStream.makeStream(of: T.self)
        Thread.detachNewThread {
            continuation.yield(body())
            continuation.finish()
        }
        return stream
    }

    @Test func aPersonTypesEditsAndRecallsAtATerminal() async throws {
        let pty = try #require(PseudoTerminal())
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("history-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let terminal = Terminal(input: pty.shell, output: pty.shell)
        let result = onThread { () -> [StatementReader.Input] in
            let editor = LineEditor(terminal: terminal, history: History(path: path)) { _, word in
                ["SELECT", "SET", "STREAMS"].filter { $0.hasPrefix(word.uppercased()) }
            }
            let reader = StatementReader(editor: editor, prompt: "martlet> ") { $0 == "help" }
            return (0..<7).map { _ in reader.next() }
        }
        // A test that waits in vain must not leave the reader waiting too.
        func see(_ text: String) {
            guard pty.person >= 0, pty.look(for: text) == nil else { return }
            Issue.record("no \(text) on the screen, but \(pty.rest)")
            pty.hangUp()
        }
        func type(_ text: String, after prompt: String = "martlet> ") {
            see(PseudoTerminal.lineBegins)
            see(prompt)
            pty.type(text)
        }
        // Over two lines, a typing mistake mended, a word completed.
        type("SEL\tx\u{7F}*")
        see("SELECT *")
        pty.type("\r")
        type("FROM é;\u{1B}[D\u{1B}[Dü\r", after: "       > ")
        // Ctrl-C throws away, a command ends with its line.
        type("nonsense\u{3}")
        type("help\r")
        // Up twice, past the command; Ctrl-R.
        type("\u{1B}[A\u{1B}[A")
        see("SELECT *↵FROM üé;")
        pty.type("\r")
        type("\u{12}hel")
        see("(search: hel) help")
        pty.type("\r")
        // Pasted text with line breaks, two statements.
        type("\u{1B}[200~a;\nb ';' ;\n\u{1B}[201~\r")
        let inputs = await result.first { _ in true }
        #expect(
            inputs == [
                .statement("SELECT *\nFROM üé;"), .cancelled, .command("help"), .statement("SELECT *\nFROM üé;"), .command("help"), .statement("a;"),
                .statement("b ';' ;"),
            ])
        #expect(History(path: path).entries == ["SELECT *\nFROM üé;", "help", "SELECT *\nFROM üé;", "help", "a;\nb ';' ;"])
    }

    @Test func controlDEndsAndTheTerminalIsAsBefore() async throws {
        let pty = try #require(PseudoTerminal())
        var before = termios(), after = termios()
        tcgetattr(pty.shell, &before)
        let terminal = Terminal(input: pty.shell, output: pty.shell)
        #expect(terminal.isInteractive && terminal.width == 40)
        let result = onThread { LineEditor(terminal: terminal).readLine(prompt: "> ") }
        #expect(pty.look(for: "> ") != nil)
        pty.type("\u{4}")
        #expect(await result.first { _ in true } == .end)
        tcgetattr(pty.shell, &after)
        #expect(before.c_lflag == after.c_lflag && before.c_iflag == after.c_iflag)
    }

    @Test func aPipeIsReadLineByLine() throws {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        _ = Terminal.write(Array("-- note\nSELECT 'a;\n';\r\nSHOW \\\nSTREAMS; x".utf8), to: ends[1])
        close(ends[1])
        defer { close(ends[0]) }
        let editor = LineEditor(terminal: Terminal(input: ends[0], output: ends[0]))
        let reader = StatementReader(editor: editor, prompt: "> ")
        #expect((0..<5).map { _ in reader.next() } == [.statement("SELECT 'a;\n';"), .statement("SHOW STREAMS;"), .statement("x"), .end, .end])
        #expect(editor.history.entries == [])
    }

    @Test func keysComeWholeHoweverTheirBytesAreCut() {
        let bytes = Array("aé\u{1B}[1;5D\u{1B}OC\u{1B}[3~\u{1B}b\r\u{12}\u{1B}[200~x\ny\u{1B}[201~😀".utf8)
        let whole: [Key] = [.text("aé"), .wordLeft, .right, .delete, .wordLeft, .enter, .control("R"), .paste("x\ny"), .text("😀")]
        var decoder = KeyDecoder()
        #expect(decoder.feed(bytes) == whole)
        for cut in 1..<bytes.count {
            var decoder = KeyDecoder()
            var keys = decoder.feed(bytes[..<cut]) + decoder.feed(bytes[cut...])
            // Text may come in two pieces.
            keys = keys.reduce(into: []) { joined, key in
                if case .text(let b) = key, case .text(let a)? = joined.last { joined[joined.count - 1] = .text(a + b) } else { joined.append(key) }
            }
            #expect(keys == whole, "cut at \(cut)")
        }
        #expect(decoder.feed([0x1B]).isEmpty && decoder.isWaiting)
        #expect(decoder.flush() == [.escape])
    }

    @Test func linesAreEditedByKeys() {
        func edited(_ keys: Key..., history: [String] = []) -> String {
            var buffer = LineBuffer(history: history)
            for key in keys { _ = buffer.receive(key) }
            return String(buffer.characters[..<buffer.cursor]) + "|" + String(buffer.characters[buffer.cursor...])
        }
        #expect(edited(.text("one two"), .wordLeft, .text("x")) == "one x|two")
        #expect(edited(.text("one two"), .control("A"), .killWordRight, .control("E"), .control("Y")) == " twoone|")
        #expect(edited(.text("one two"), .control("W"), .control("W"), .control("Y")) == "one |")
        #expect(edited(.text("ab"), .left, .control("K"), .left, .left) == "|a")
        #expect(edited(.text("ab"), .left, .control("D"), .delete, .backspace) == "|")
        #expect(edited(.text("e"), .text("\u{301}"), .left) == "|e\u{301}")
        #expect(edited(.text("draft"), .up, .up, .down, .down, history: ["a", "b"]) == "draft|")
        #expect(edited(.up, .up, .up, history: ["a", "b"]) == "a|")
        #expect(edited(.control("R"), .text("a"), .control("R"), .escape, history: ["xa", "b", "ya", "c"]) == "xa|")
        #expect(edited(.control("R"), .text("zz"), .control("G"), history: ["a"]) == "|")
        var buffer = LineBuffer()
        #expect(buffer.receive(.control("D")) == .end && buffer.receive(.left) == .beep && buffer.receive(.control("C")) == .cancel)
        _ = buffer.receive(.text("s.st"))
        #expect(buffer.complete(with: ["STREAM", "STREAMS"]) == .redraw && buffer.text == "s.STREAM")
        #expect(buffer.complete(with: ["STREAM", "STREAMS"]) == .beep && buffer.complete(with: []) == .beep)
        #expect(buffer.complete(with: ["STREAMS"]) == .redraw && buffer.text == "s.STREAMS ")
    }

    @Test func longLinesWrap() {
        func layout(_ line: String, _ cursor: Int, _ width: Int) -> [Int] {
            let layout = LineLayout(prompt: "> ", line: Array(line), cursor: cursor, width: width)
            return [layout.lastRow, layout.cursorRow, layout.cursorColumn]
        }
        #expect(layout("abc", 1, 10) == [0, 0, 3])
        #expect(layout("abcdefgh", 8, 10) == [1, 1, 0])
        #expect(layout("abcdefghi", 8, 10) == [1, 1, 0])
        #expect(layout("abcdefghi", 7, 10) == [1, 0, 9])
        #expect(layout("字字字字", 4, 9) == [1, 1, 2])
        #expect(layout("字字字字", 3, 9) == [1, 1, 0])
        #expect(layout("e\u{301}x", 1, 9) == [0, 0, 3])
        #expect(LineLayout(prompt: "", line: Array("a\nb"), cursor: 0, width: 9).text == "a↵b")
    }

    // Whatever is typed, the cursor stays in the line.
    @Test(arguments: [1, 2, 3] as [UInt64]) func anyKeysLeaveAWholeLine(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var buffer = LineBuffer(history: ["SELECT 1;", "é", ""])
        let keys: [Key] = [
            .text("a"), .text("字 b"), .text("\u{301}"), .paste("x\ny\n"), .tab, .escape, .backspace, .delete, .left, .right, .up, .down, .home, .end, .wordLeft,
            .wordRight, .killWordLeft, .killWordRight, .unknown,
        ] + "ABCDEFGHKLNPRUWYZ".map { .control($0) }
        for _ in 0..<5000 {
            _ = buffer.receive(keys.randomElement(using: &random)!)
            #expect(buffer.cursor >= 0 && buffer.cursor <= buffer.characters.count)
            let layout = LineLayout(prompt: "> ", line: buffer.characters, cursor: buffer.cursor, width: 7)
            #expect(layout.cursorRow <= layout.lastRow && layout.cursorColumn < 7)
        }
    }
}
