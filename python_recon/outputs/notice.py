"""What every output that a person looks at has to say."""

NOTICE = "For research only: not for diagnosis or treatment."
