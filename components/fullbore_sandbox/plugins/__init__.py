"""Stand-ins for official provider plugins, used by the sandbox and by previews without credentials."""
