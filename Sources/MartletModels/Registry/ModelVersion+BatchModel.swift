import MartletColumns

/// What compiled expressions call.
extension ModelVersion: BatchModel {}
