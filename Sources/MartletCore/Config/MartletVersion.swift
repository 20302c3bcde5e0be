/// The version of this release.
public enum MartletVersion {
    public static let text = "0.1.0"
}
