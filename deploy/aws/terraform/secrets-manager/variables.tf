variable "name" {
  type        = string
  default     = "inhaul"
  description = "Begins the names of the queue and the rule; one per cluster."

  validation {
    condition     = can(regex("^[A-Za-z0-9-]{1,40}$", var.name))
    error_message = "1 to 40 letters, digits and hyphens."
  }
}

variable "consumer_role_name" {
  type        = string
  default     = ""
  description = "IAM role of the controller, which may then read the queue; empty grants nobody."
}

variable "tags" {
  type        = map(string)
  default     = {}
  description = "Tags of everything that is made."
}

variable "queue_arn" {
  type        = string
  default     = ""
  description = "A queue of another of these modules with the same name, to share it; empty makes one."
}
