"""What services use besides the database: mail, and limits of attempts."""
