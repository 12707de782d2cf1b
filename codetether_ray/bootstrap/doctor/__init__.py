"""What `codetether doctor` looks at, a file per noun; `examination` puts it together."""
