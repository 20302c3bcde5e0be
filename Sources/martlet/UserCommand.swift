import ArgumentParser
import MartletCore
import MartletLog

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

struct UserCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "user",
        abstract: "Adds, removes and lists users of a data directory.",
        discussion: "Works beside a running node, which sees the change with the next log-in. Passwords are kept salted and hashed.",
        subcommands: [Add.self, Remove.self, List.self])

    struct Directory: ParsableArguments {
        @Option(help: ArgumentHelp("The data directory.", valueName: "dir"))
        var data = "data"

        var users: UserStore { UserStore(directory: data) }

        /// For commands that only make sense where something is.
        func requireExisting() throws(MartletError) {
            guard access(data, X_OK) == 0 else {
                throw MartletError(.io, "cannot use the data directory \(data): \(String(cString: strerror(errno)).lowercased())", hint: "--data names another one")
            }
        }
    }

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a user, or changes its password.",
            discussion:
                "The password is asked for at a terminal, else read from standard input (one line), or taken from MARTLET_PASSWORD. It is never an argument: others could see it.")

        @OptionGroup var directory: Directory
        @Argument(help: "The name.") var name: String

        func run() async throws {
            do throws(MartletError) {
                let password = try Input.password(for: name)
                try directory.users.set(password: password, of: name)
                Output.line("user \(name) can log in")
            } catch {
                throw failure(error)
            }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Removes a user.")

        @OptionGroup var directory: Directory
        @Argument(help: "The name.") var name: String

        func run() async throws {
            do throws(MartletError) {
                try directory.requireExisting()
                // Looks first: what removes makes the file it changes.
                guard try directory.users.list().contains(where: { $0.name == name }), try directory.users.remove(name) else {
                    throw MartletError(.notFound, "there is no user \(name)")
                }
                Output.line("user \(name) is gone")
            } catch {
                throw failure(error)
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the users and how they can log in.")

        @OptionGroup var directory: Directory

        func run() async throws {
            do throws(MartletError) {
                try directory.requireExisting()
                let users = try directory.users.list()
                if users.isEmpty { Output.error("there are no users; martlet user add NAME --data \(directory.data) makes one\n") }
                for user in users {
                    Output.line("\(user.name)  \((user.mechanisms.map(\.rawValue) + [SaslMechanism.plain.rawValue]).joined(separator: ", "))")
                }
            } catch {
                throw failure(error)
            }
        }
    }
}
