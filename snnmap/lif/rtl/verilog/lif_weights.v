// One weight memory and where its rows stand: dense rows, rows by source, or columns by target ("row" here too).
// Sparse layouts have a table of lengths; clearing sweeps it once to find where each row starts.
`default_nettype none
module lif_weights #(
    parameter LAYOUT = 0,       // 0 dense, 1 rows_by_source, 2 columns_by_target
    parameter WORDS = 16,       // of the memory
    parameter ROWS = 4,
    parameter A = 10,           // bits of a slot, channel, row or length
    parameter P = 16,           // of a word address
    parameter W = 8,            // of a weight
    parameter ID = 4,           // of an id in a word
    parameter LEN = 4,          // of a word of the table
    parameter [7:0] WEIGHTS_BLOCK = 0,
    parameter [7:0] LENGTHS_BLOCK = 0,
    parameter FROM_FILES = 0,
    parameter WEIGHTS_FILE = "",
    parameter LENGTHS_FILE = ""
) (
    input wire clk, clearing,  // lint_off UNUSEDSIGNAL
    input wire [A-1:0] row,             // start and length one cycle later
    input wire [A-1:0] n_inner,         // words of a dense row; lint_off UNUSEDSIGNAL
    output wire [P-1:0] start, output wire [A-1:0] length, output wire empty,
    input wire [P-1:0] ptr,             // id and weight two cycles later; lint_off UNUSEDSIGNAL
    output wire [A-1:0] id, output wire [W-1:0] weight,
    input wire prog_we, input wire [7:0] prog_block, input wire [P-1:0] prog_addr, input wire [31:0] prog_data  // lint_off UNUSEDSIGNAL
);
    localparam WORD = LAYOUT == 0 ? W : ID + W;
    localparam PW = WORDS > 1 ? $clog2(WORDS) : 1;
    reg [WORD-1:0] weights [0:WORDS-1];
    reg [WORD-1:0] read, word;
    initial if (FROM_FILES) $readmemh(WEIGHTS_FILE, weights);
    always @(posedge clk) begin
        read <= weights[ptr[PW-1:0]];
        word <= read;
        if (prog_we && prog_block == WEIGHTS_BLOCK) weights[prog_addr[PW-1:0]] <= prog_data[WORD-1:0];
    end
    assign weight = word[W-1:0];
    generate
        if (LAYOUT == 0) begin : g_dense
            reg [P-1:0] row_q;
            always @(posedge clk) row_q <= row;  // lint_off WIDTHEXPAND
            assign start = row_q * n_inner;
            assign length = n_inner;
            assign empty = n_inner == 0;
            assign id = 0;
        end else begin : g_sparse
            localparam R = ROWS > 1 ? $clog2(ROWS) : 1;
            reg [LEN-1:0] lengths [0:ROWS-1];
            reg [P:0] starts [0:ROWS-1];    // and whether there is nothing
            reg [LEN-1:0] length_q;
            reg [P:0] start_q;
            reg [P-1:0] total;
            reg [R-1:0] swept;
            reg sweeping;
            wire [P-1:0] next = swept == 0 ? {P{1'b0}} : total;
            initial if (FROM_FILES) $readmemh(LENGTHS_FILE, lengths);
            always @(posedge clk) begin
                length_q <= lengths[row[R-1:0]];
                start_q <= starts[row[R-1:0]];
                swept <= row[R-1:0];
                sweeping <= clearing && row < ROWS;
                if (sweeping) begin
                    starts[swept] <= {length_q == 0, next};
                    total <= next + length_q;  // lint_off WIDTHEXPAND
                end
                if (prog_we && prog_block == LENGTHS_BLOCK) lengths[prog_addr[R-1:0]] <= prog_data[LEN-1:0];
            end
            assign {empty, start} = start_q;
            assign length = length_q;  // lint_off WIDTHEXPAND
            assign id = word[WORD-1:W];  // lint_off WIDTHEXPAND
        end
    endgenerate
endmodule
`default_nettype wire
