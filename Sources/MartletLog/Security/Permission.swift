/// What becomes of a request by what its sender may do.
enum Permission<Response: Sendable> {
    case granted
    /// Not worked on at all.
    case refused(Response)
    /// What the sender may not has been taken out of the request; `amend` tells of it in the answer, or takes out what is not to be seen.
    case limited(amend: @Sendable (inout Response) -> Void)
    /// There is no way to say no: the connection ends.
    case closed
}

extension WireRequest {
    /// An API without a rule of its own is for super users, and for those who may act for the cluster.
    mutating func authorize(_ access: Access, _ log: EmbeddedLog) -> Permission<Response> {
        access.allowsCluster(.clusterAction) ? .granted : .closed
    }
}

extension Array {
    /// Takes out the elements for which `isAllowed` is false, and returns them.
    mutating func takeOut(where isAllowed: (Element) -> Bool) -> [Element] {
        let refused = filter { !isAllowed($0) }
        if !refused.isEmpty { removeAll { !isAllowed($0) } }
        return refused
    }
}
